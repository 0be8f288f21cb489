//! The adapter: one binary, every runtime. It finds out by itself where it runs.

mod consume;
mod function_compute;
mod http;
mod lambda;

use std::io::Write as _;
use std::process::ExitCode;

pub use self::consume::serve_queue;
pub use self::http::serve;
use crate::api::{self, Function};
use crate::config::{Config, InvokeMode, Runtime};
use crate::{engine, telemetry};

/// Runs a cloud function until its runtime ends it: on Lambda where `AWS_LAMBDA_RUNTIME_API` is set, else as a plain
/// HTTP server.
///
/// `name` is the function's name, `about` one sentence for `--help`, `function` what it answers.
pub fn run(name: &str, about: &str, function: impl FnOnce(&Config) -> Function) -> ExitCode {
    run_as(name, about, function, |_| InvokeMode::Buffered)
}

/// Runs a cloud function as [`run`] does; on Lambda its answers are sent as they come, where the configuration says that
/// its URL takes them so.
pub fn run_streaming(name: &str, about: &str, function: impl FnOnce(&Config) -> Function) -> ExitCode {
    run_as(name, about, function, |config| config.invoke_mode)
}

/// Runs the function `consume` until its runtime ends it: on Lambda it answers events of queues, buckets and schedules;
/// elsewhere it takes events over HTTP, and reads a queue beside that if it is told one.
pub fn consume(name: &str, about: &str) -> ExitCode {
    start(name, about, |config| async move {
        let function = api::consume(&config);
        consume::run(function, &config).await
    })
}

fn run_as(
    name: &str,
    about: &str,
    function: impl FnOnce(&Config) -> Function,
    mode: impl FnOnce(&Config) -> InvokeMode,
) -> ExitCode {
    start(name, about, |config| {
        let (function, mode) = (function(&config), mode(&config));
        async move {
            let preload = tokio::spawn(function.preload());
            if lambda::is_runtime() {
                lambda::run(function.routes, mode, preload).await
            } else {
                let routes = match config.runtime {
                    Runtime::FunctionCompute => function_compute::around(function.routes.clone(), &function),
                    Runtime::Plain | Runtime::AzureFunctions => function.routes,
                };
                serve(routes, &config.host, config.port).await
            }
        }
    })
}

/// Reads arguments and configuration, gets the process ready, and runs a function with it.
fn start<F: Future<Output = Result<(), String>>>(
    name: &str,
    about: &str,
    function: impl FnOnce(Config) -> F,
) -> ExitCode {
    telemetry::cold_start::entered_main();
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--help" | "-h") => return print(&help(name, about)),
        Some("--version" | "-V") => return print(&format!("{name} {}\n", env!("CARGO_PKG_VERSION"))),
        Some(other) => return fail(&format!("{name} takes no argument {other:?}; see {name} --help")),
    }
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string()),
    };
    telemetry::start(&config.log);
    engine::prepare(config.threads, config.isa);
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(config.threads.min(4)).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return fail(&format!("the runtime can't start: {error}")),
        };
    match runtime.block_on(function(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn help(name: &str, about: &str) -> String {
    format!(
        "{about}\n\nUsage: {name}\n\nOn AWS Lambda it answers the function's events, elsewhere it is an HTTP server, also as Alibaba Function Compute\n\
         and Azure Functions want one.\n\n{}",
        Config::help()
    )
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(message: &str) -> ExitCode {
    drop(writeln!(std::io::stderr(), "error: {message}"));
    ExitCode::from(2)
}
