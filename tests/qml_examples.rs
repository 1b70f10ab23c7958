//! The QML examples run and show what they should: their own pictures of their windows are looked
//! at.
#![allow(clippy::expect_used)]

use std::env;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;

use png::{ColorType, Decoder, Transformations};

/// Where the window is shown. QtQuick draws without OpenGL on both.
const DISPLAYS: [Display; 2] = [Display::Xvfb, Display::None];

#[derive(Clone, Copy, Debug)]
enum Display {
    /// A window of X11's on a virtual display.
    Xvfb,
    /// Qt's platform `offscreen`.
    None,
}

#[test]
fn the_clock() {
    const HAND: [u8; 3] = [0xe0, 0x31, 0x31];
    const BUTTON: [u8; 3] = [0x19, 0x71, 0xc2];
    const ECHO: [u8; 3] = [0x2b, 0x8a, 0x3e];
    for display in DISPLAYS {
        let picture = Picture::of("qml_clock", display);
        assert_eq!((picture.width, picture.height), (520, 300));
        // Hand and hub: 4 x 72 and a disc of 14.
        assert!(
            (200..800).contains(&picture.count(HAND)),
            "{display:?}: {} red pixels",
            picture.count(HAND)
        );
        assert!(
            picture.count(BUTTON) > 5000,
            "{display:?}: {} pixels of buttons",
            picture.count(BUTTON)
        );
        // The insides of some fifty letters, without their smoothed edges.
        assert!(picture.count(ECHO) > 100, "{display:?}: {} pixels of echoes", picture.count(ECHO));
    }
}

#[cfg(all(feature = "python", feature = "qt-module"))]
#[test]
fn the_dashboard() {
    const COLUMN: [u8; 3] = [0x74, 0xc0, 0xfc];
    const DOT: [u8; 3] = [0xe8, 0x59, 0x0c];
    const CANCEL: [u8; 3] = [0xc9, 0x2a, 0x2a];
    for display in DISPLAYS {
        let picture = Picture::of("qml_dashboard", display);
        assert_eq!((picture.width, picture.height), (640, 360));
        let (columns, dots) = (picture.count(COLUMN), picture.count(DOT));
        // At least 60 columns of 5 x 24 to 216 pixels, less what the dots hide; at most 100.
        assert!((20_000..100_000).contains(&columns), "{display:?}: {columns} pixels of columns");
        assert!((800..6000).contains(&dots), "{display:?}: {dots} pixels of dots");
        assert_eq!(picture.count(CANCEL), 0, "the computation was cancelled");
    }
}

struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// What an example shows of itself.
    fn of(example: &str, display: Display) -> Picture {
        let path =
            env::temp_dir().join(format!("{example}-{display:?}-{}.png", std::process::id()));
        let program = program(example);
        assert!(
            program.exists(),
            "`cargo test` has built it, or `cargo build --examples` does if one test only is to run"
        );
        let mut command = match display {
            Display::Xvfb => Command::new("xvfb-run"),
            Display::None => Command::new(&program),
        };
        match display {
            Display::Xvfb => {
                command.arg("--auto-servernum").arg(&program).env("QT_QPA_PLATFORM", "xcb")
            }
            Display::None => command.env("QT_QPA_PLATFORM", "offscreen"),
        };
        let status =
            command.arg("--screenshot").arg(&path).env("QT_QUICK_BACKEND", "software").status();
        let status = status.expect("xvfb is installed");
        assert!(status.success(), "{example} on {display:?}: {status}");
        let picture = Picture::read(&path);
        fs::remove_file(&path).expect("it was there");
        picture
    }

    fn read(path: &Path) -> Picture {
        let file = BufReader::new(File::open(path).expect("a picture was taken"));
        let mut decoder = Decoder::new(file);
        decoder
            .set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
        let mut reader = decoder.read_info().expect("a PNG file");
        let mut bytes = vec![0; reader.output_buffer_size().expect("it fits into memory")];
        let info = reader.next_frame(&mut bytes).expect("a whole picture");
        assert_eq!(info.color_type, ColorType::Rgba);
        let pixels = bytes.chunks_exact(4).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Picture { width: info.width, height: info.height, pixels }
    }

    fn count(&self, color: [u8; 3]) -> usize {
        self.pixels.iter().filter(|pixel| **pixel == color).count()
    }
}

/// An example's program, which cargo builds beside the tests.
fn program(example: &str) -> PathBuf {
    let test = env::current_exe().expect("this program");
    let profile = test.parent().and_then(Path::parent).expect("the directory of the profile");
    profile.join("examples").join(example)
}
