//! Finds the built library, and builds and runs programs that use it.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// The time limit of a program. Under valgrind on a busy machine, one second becomes a minute.
const RUN_LIMIT: Duration = Duration::from_secs(300);

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the path of the shared library, under its soname. Panics when the library isn't built.
pub fn library() -> &'static Path {
    static LINK: OnceLock<PathBuf> = OnceLock::new();
    LINK.get_or_init(|| {
        let given = env::var_os("TEMPORAL_HEARTBEAT_LIBRARY").map(PathBuf::from);
        let library = built(given.unwrap_or_else(|| root().join("target/release/libtemporal_heartbeat.so")));
        let link = build_dir().join("libtemporal_heartbeat.so.0");
        let _ = fs::remove_file(&link);
        symlink(library, &link).unwrap();
        link
    })
}

/// Returns the absolute path of a file that `make lib` builds. Panics when the file doesn't exist.
pub fn built(path: PathBuf) -> PathBuf {
    fs::canonicalize(&path)
        .unwrap_or_else(|error| panic!("{}: {error}. Run `make lib` first.", path.display()))
}

/// Returns a command that runs a tool of the system. A test skips without the tool, and fails with THB_REQUIRE_ALL=1.
pub fn tool(name: &str) -> Option<Command> {
    let found =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|path| path.join(name).is_file());
    if !found {
        assert!(
            env::var("THB_REQUIRE_ALL").as_deref() != Ok("1"),
            "needs {name}, and THB_REQUIRE_ALL=1 allows no skips"
        );
        eprintln!("SKIPPED: needs {name}");
    }
    found.then(|| Command::new(name))
}

/// Runs a tool, which must succeed, and returns its output.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the folder where this run builds its programs. Removes the folders of runs that have ended.
pub fn build_dir() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi");
        fs::create_dir_all(&all).unwrap();
        for entry in fs::read_dir(&all).unwrap().flatten() {
            if !Path::new("/proc").join(entry.file_name()).exists() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = all.join(std::process::id().to_string());
        fs::create_dir_all(&path).unwrap();
        path
    })
}

/// A compiled program of `c/`, ready to run in an environment without Temporal's variables.
pub struct Program(Command);

impl Program {
    /// Compiles `source` and links it to the library.
    pub fn new(source: &str) -> Self {
        Self::built_with(source, &[])
    }

    /// Does the same with additional compiler options.
    pub fn built_with(source: &str, flags: &[&str]) -> Self {
        let rpath = format!("-Wl,-rpath,{}", build_dir().display());
        Self::compiled(source, &[flags, &[library().to_str().unwrap(), &rpath]].concat())
    }

    /// Compiles `source` without linking it. The program opens the library that its first argument names.
    pub fn unlinked(source: &str) -> Self {
        let mut program = Self::compiled(source, &["-ldl"]);
        program.0.arg(library());
        program
    }

    fn compiled(source: &str, link: &[&str]) -> Self {
        let cpp = source.ends_with(".cpp");
        static BUILT: AtomicU32 = AtomicU32::new(0);
        let number = BUILT.fetch_add(1, Ordering::Relaxed);
        let program = build_dir().join(format!("{}_{number}", source.replace('.', "_")));
        output(
            Command::new(if cpp { "c++" } else { "cc" })
                .args(["-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
                .args(if cpp { ["-std=c++17", "-D_GNU_SOURCE"] } else { ["-std=c11", "-D_GNU_SOURCE"] })
                .arg(format!("-I{}", root().join("include").display()))
                .arg(root().join("tests/abi/c").join(source))
                .arg("-o")
                .arg(&program)
                .args(link)
                .args(sanitized().then_some("-fsanitize=address")),
        );
        let mut command = if valgrind() { Command::new("valgrind") } else { Command::new(&program) };
        if valgrind() {
            let leaks =
                ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"];
            let known = format!("--suppressions={}", root().join("tests/abi/valgrind.supp").display());
            command
                .args(["--error-exitcode=99", "--quiet", "--fair-sched=yes", &known])
                .args(leaks)
                .arg(&program);
        }
        let is_read = |name: &str| name.starts_with("TEMPORAL_") || name.starts_with("SSL_CERT_");
        for (name, _) in env::vars_os().filter(|(name, _)| is_read(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        Program(command)
    }

    /// Returns a command that runs the same program once more.
    pub fn again(&self) -> Self {
        let mut command = Command::new(self.0.get_program());
        command.args(self.0.get_args());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Program(command)
    }

    /// Gives the program's file to another user. The program then runs with the rights of that user. Needs root.
    pub fn set_user_id(self) -> Self {
        const NOBODY: u32 = 65534;
        let file = self.0.get_program();
        chown(file, Some(NOBODY), None).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o4755)).unwrap();
        self
    }

    pub fn argument(mut self, argument: &str) -> Self {
        self.0.arg(argument);
        self
    }

    pub fn variable(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Starts the program.
    pub fn start(mut self) -> Child {
        self.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the program to its end, and returns its output.
    pub fn output(self) -> Output {
        let name = format!("{:?}", self.0);
        in_time(self.start(), &name)
    }

    /// Runs the program, which must succeed, and returns its stdout.
    pub fn run(self) -> String {
        let output = self.output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{stderr}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Returns how often to repeat a test that shows some bugs only sometimes: few times in a normal run, many times with
/// THB_SLOW=1.
pub fn repetitions(quick: usize, slow: usize) -> usize {
    if env::var("THB_SLOW").as_deref() == Ok("1") { slow } else { quick }
}

/// Returns whether the programs run under valgrind, which finds memory errors and leaks.
pub fn valgrind() -> bool {
    env::var("THB_VALGRIND").as_deref() == Ok("1")
}

/// Returns whether the library and the programs are built with AddressSanitizer, which finds memory errors and leaks.
pub fn sanitized() -> bool {
    env::var("THB_SANITIZED").as_deref() == Ok("1")
}

/// Returns whether a tool changes how memory behaves: its amount, its speed, and the reuse of freed memory.
pub fn instrumented() -> bool {
    valgrind() || sanitized()
}

/// Waits for the program's end, and reads its output: a program whose pipe is full waits for a reader.
fn in_time(child: Child, name: &str) -> Output {
    let pid = child.id().cast_signed();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    receiver
        .recv_timeout(RUN_LIMIT)
        .unwrap_or_else(|_| {
            // SAFETY: the call has no pointers. The thread above has not waited for the child yet, so the pid is still the child's.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            panic!("{name} hangs");
        })
        .unwrap()
}
