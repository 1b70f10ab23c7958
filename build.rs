//! Builds the C++ half of the native host when the feature `qt` asks for it, and lists the Python
//! package's sources for the feature `python`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "qt")]
    qt::build();
    #[cfg(feature = "python")]
    if let Err(error) = package::list() {
        panic!("the sources of the Python package cannot be listed: {error}");
    }
}

/// The list of the package's sources, which a program that embeds an interpreter carries along.
#[cfg(feature = "python")]
mod package {
    use std::env;
    use std::fmt::Write;
    use std::fs;
    use std::io;
    use std::path::{Path, PathBuf};

    const SOURCES: &str = "python/qtloop";

    /// Writes `package.rs`: an array of files, seen from the package and without `.py`, and their
    /// sources. A new file is listed when an old one changes: nothing imports it before.
    pub fn list() -> io::Result<()> {
        let mut listed = String::from("[");
        for path in sources(Path::new(SOURCES))? {
            println!("cargo:rerun-if-changed={}", path.display());
            let module = path.strip_prefix(SOURCES).unwrap_or(&path).with_extension("");
            let path = fs::canonicalize(&path)?;
            let _infallible = write!(listed, "({module:?}, include_str!({path:?})),");
        }
        listed.push(']');
        fs::write(Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("package.rs"), listed)
    }

    /// Every Python file in a folder and its folders, but those for tools (`__pyinstaller`).
    fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut sources = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_for_tools =
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("__"));
            if path.is_dir() {
                if !is_for_tools {
                    sources.extend(self::sources(&path)?);
                }
            } else if path.extension().is_some_and(|it| it == "py") {
                sources.push(path);
            }
        }
        sources.sort();
        Ok(sources)
    }
}

#[cfg(feature = "qt")]
mod qt {
    use std::env;
    use std::path::PathBuf;
    use std::process::Command;

    /// Where qmake may be found when `QMAKE` does not say so, the newer Qt first.
    const QMAKES: [&str; 4] = ["qmake6", "qmake-qt6", "qmake", "/usr/lib/qt5/bin/qmake"];

    pub fn build() {
        println!("cargo:rerun-if-env-changed=QMAKE");
        println!("cargo:rerun-if-changed=cpp");
        println!("cargo:rerun-if-changed=src/qt");
        refuse_other_systems();
        let qt = Qt::find();
        cpp_build::Config::new()
            .flag("-std=c++17")
            .flag("-fno-exceptions")
            .include("cpp")
            .include(&qt.headers)
            .include(qt.headers.join("QtCore"))
            .build("src/lib.rs");
        println!("cargo:rustc-link-search=native={}", qt.libs.display());
        println!("cargo:rustc-link-lib=dylib=Qt{}Core", qt.major);
    }

    /// The native host is linked against the name that Qt's library has on Linux. The headers that
    /// a qmake knows may even be those of the system that builds.
    fn refuse_other_systems() {
        let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
        if cfg!(feature = "qt-module") && ["windows", "macos"].contains(&system.as_str()) {
            panic!("there is no native host for {system}");
        }
    }

    struct Qt {
        major: u32,
        headers: PathBuf,
        libs: PathBuf,
    }

    impl Qt {
        /// qmetaobject's Qt if that is there, else the Qt of the first qmake that serves.
        fn find() -> Qt {
            Qt::of_qttypes().unwrap_or_else(Qt::of_qmake)
        }

        /// The Qt that the crate `qttypes` has found, if the feature `qml` brings it: a process
        /// takes one Qt only.
        fn of_qttypes() -> Option<Qt> {
            let version = env::var("DEP_QT_VERSION").ok()?;
            let path = |name| env::var(name).ok().map(PathBuf::from);
            let (headers, libs) = (path("DEP_QT_INCLUDE_PATH")?, path("DEP_QT_LIBRARY_PATH")?);
            let major = serving(&version).unwrap_or_else(|| {
                panic!("the features that are asked for need another Qt than {version}")
            });
            Some(Qt { major, headers, libs })
        }

        fn of_qmake() -> Qt {
            let candidates =
                env::var("QMAKE").map_or(QMAKES.map(String::from).to_vec(), |qmake| vec![qmake]);
            candidates.iter().find_map(|qmake| Qt::of(qmake)).unwrap_or_else(|| {
                let needed = if cfg!(feature = "qt-module") {
                    "the feature `qt-module` needs Qt 6's headers: install them (Debian: \
                        qt6-base-dev)"
                } else {
                    "the feature `qt` needs Qt 6's or 5.15's headers: install them (Debian: \
                        qt6-base-dev, qtbase5-dev)"
                };
                panic!("{needed} or set QMAKE; looked for {candidates:?}")
            })
        }

        fn of(qmake: &str) -> Option<Qt> {
            let major = serving(&query(qmake, "QT_VERSION")?)?;
            let headers = query(qmake, "QT_INSTALL_HEADERS")?.into();
            let libs = query(qmake, "QT_INSTALL_LIBS")?.into();
            Some(Qt { major, headers, libs })
        }
    }

    /// The major number of a version, if it serves.
    fn serving(version: &str) -> Option<u32> {
        let mut numbers = version.split('.').map_while(|number| number.parse().ok());
        let (major, minor) = (numbers.next()?, numbers.next()?);
        // The Python module is named for the Qt that it needs.
        let serves = major == 6 || ((major, minor) == (5, 15) && !cfg!(feature = "qt-module"));
        serves.then_some(major)
    }

    fn query(qmake: &str, name: &str) -> Option<String> {
        let output = Command::new(qmake).args(["-query", name]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
