//! `cargo xtask test`: every check there is, in the order in which they are cheap.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::python;
use crate::steps::Steps;
use crate::workspace::{self, Workspace, succeed};

#[derive(Debug, Args)]
pub(crate) struct Request {
    /// Only these steps [default: all but sam-build]
    steps: Vec<Step>,
    /// Arguments for pytest, such as `-- -k openapi`
    #[arg(last = true)]
    pytest: Vec<String>,
}

/// A step; what it needs is done before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// The formatting of the Rust code
    Fmt,
    /// The lints, warnings denied
    Clippy,
    /// The Rust tests
    Unit,
    /// The deployment's template, by the AWS SAM CLI and cfn-lint
    Template,
    /// The end-to-end tests in tests/: real binaries, real events, real clients
    E2e,
    /// What would be deployed, built by the AWS SAM CLI: a whole release build, so only where it is named
    SamBuild,
}

impl Step {
    fn needs_python(self) -> bool {
        matches!(self, Self::Template | Self::E2e | Self::SamBuild)
    }
}

/// Runs the steps.
///
/// # Errors
/// Any step that failed, after all have run.
pub(crate) fn run(workspace: &Workspace, request: &Request) -> Result<()> {
    let usual = [Step::Fmt, Step::Clippy, Step::Unit, Step::Template, Step::E2e];
    let chosen = if request.steps.is_empty() { &usual[..] } else { &request.steps };
    let mut steps = Steps::default();
    let cargo = |arguments: &[&str]| succeed(&mut workspace.cargo(arguments));
    let has_python = !chosen.iter().any(|step| step.needs_python()) || steps.run("setup", || python::set_up(workspace));
    for step in chosen {
        match step {
            step if step.needs_python() && !has_python => {
                let name = step.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
                steps.skip(&name, "setup failed");
            }
            Step::Fmt => drop(steps.run("fmt", || cargo(&["fmt", "--all", "--check"]))),
            Step::Clippy => drop(steps.run("clippy", || {
                cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])
            })),
            Step::Unit => drop(steps.run("unit", || cargo(&["test", "--workspace", "--quiet"]))),
            Step::Template => drop(steps.run("template", || check_template(workspace))),
            Step::SamBuild => drop(steps.run("sam-build", || build_deployment(workspace))),
            Step::E2e => {
                if steps.run("build", || cargo(workspace::BUILD)) {
                    steps.run("e2e", || end_to_end(workspace, &request.pytest));
                } else {
                    steps.skip("e2e", "build failed");
                }
            }
        }
    }
    steps.finish()
}

fn check_template(workspace: &Workspace) -> Result<()> {
    succeed(sam(workspace).args(["validate", "--lint", "--template-file", "template.yaml"]))?;
    let cfn_lint = python::sam_program(workspace, "cfn-lint");
    succeed(workspace.command(cfn_lint).args(["--non-zero-exit-code", "warning", "template.yaml"]))
}

fn build_deployment(workspace: &Workspace) -> Result<()> {
    // The AWS SAM CLI looks for cargo-lambda on the PATH.
    let programs = python::program(workspace, "cargo-lambda").parent().map(Path::to_owned);
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&inherited)))?;
    succeed(sam(workspace).arg("build").env("PATH", path))
}

fn sam(workspace: &Workspace) -> Command {
    let mut command = workspace.command(python::sam_program(workspace, "sam"));
    command.env("SAM_CLI_TELEMETRY", "0").env("AWS_DEFAULT_REGION", "eu-central-1");
    command
}

fn end_to_end(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let python = python::program(workspace, "python");
    succeed(workspace.command(python).args(["-m", "pytest", "tests"]).args(arguments))
}
