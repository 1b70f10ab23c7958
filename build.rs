//! Builds the C++ half of the native host when the feature `qt` asks for it; does nothing otherwise.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "qt")]
    qt::build();
}

#[cfg(feature = "qt")]
mod qt {
    use std::env;
    use std::path::PathBuf;
    use std::process::Command;

    /// Where qmake may be found when `QMAKE` does not say so.
    const QMAKES: [&str; 3] = ["qmake6", "qmake-qt6", "qmake"];

    pub fn build() {
        println!("cargo:rerun-if-env-changed=QMAKE");
        println!("cargo:rerun-if-changed=cpp");
        let qt = Qt::find();
        cpp_build::Config::new()
            .flag("-std=c++17")
            .flag("-fno-exceptions")
            .include("cpp")
            .include(&qt.headers)
            .include(qt.headers.join("QtCore"))
            .build("src/lib.rs");
        println!("cargo:rustc-link-search=native={}", qt.libs.display());
        println!("cargo:rustc-link-lib=dylib=Qt6Core");
    }

    struct Qt {
        headers: PathBuf,
        libs: PathBuf,
    }

    impl Qt {
        fn find() -> Qt {
            let candidates = env::var("QMAKE").map_or(QMAKES.map(String::from).to_vec(), |qmake| vec![qmake]);
            let is_qt6 = |qmake: &&String| query(qmake, "QT_VERSION").is_some_and(|version| version.starts_with("6."));
            let Some(qmake) = candidates.iter().find(is_qt6) else {
                panic!(
                    "the feature `qt` needs Qt 6's headers: install them (Debian: qt6-base-dev) or set QMAKE; \
                     looked for {candidates:?}"
                );
            };
            let path = |name| PathBuf::from(query(qmake, name).unwrap_or_default());
            Qt { headers: path("QT_INSTALL_HEADERS"), libs: path("QT_INSTALL_LIBS") }
        }
    }

    fn query(qmake: &str, name: &str) -> Option<String> {
        let output = Command::new(qmake).args(["-query", name]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
