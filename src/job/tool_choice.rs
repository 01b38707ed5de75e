//! Which tool a run gets: the image's own, or one that this host brings.
//!
//! Takes the payload and, for an apply, what its plan was made with. Never: an apply with another executable
//! than its plan's, a version that was only nearly asked for.

use gantry_protocol::control::run::Gate;
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::ids::Digest;
use gantry_protocol::payload::{RunPayload, Tool};
use gantry_protocol::socket::ToolFrom;

use super::prepare::refused;
use super::{Halt, Job};
use crate::tool::{NotExact, ReadyTool, ToolName};

/// Where a run's executable is taken from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// From the image.
    Image,
    /// From this host; an apply names the one that planned.
    Host(ToolName, Option<Digest>),
}

/// A tool that this host brings, and its executable's name.
pub(super) type Brought = (ReadyTool, &'static str);

impl Job {
    /// The tool gate: nothing is brought where the image's own tool has to do.
    pub(super) async fn tool(
        &self,
        payload: &RunPayload,
        attestation: Option<&WorkspaceAttestation>,
    ) -> Result<Option<Brought>, Halt> {
        let tools = &self.host.tools;
        let planned = attestation.map(|attestation| attestation.tool);
        let source = source(&payload.tool, planned, tools.can_download());
        let source = source.map_err(|error| refused(Gate::Tool, &error))?;
        let Source::Host(name, planned) = source else {
            return Ok(None);
        };
        let ready = tools.ready(&name, planned).await;
        let ready = ready.map_err(|error| refused(Gate::Tool, &error))?;
        self.shipper.narrator().say(format!(
            "{} ({}), signed for by key {}.",
            name.shown(),
            ready.digest,
            ready.signer
        ));
        Ok(Some((ready, name.program())))
    }
}

/// Why a run can't have its tool.
#[derive(Debug, thiserror::Error)]
enum BadTool {
    #[error(transparent)]
    NotExact(#[from] NotExact),
    /// The payload of an apply names no version, and its plan was made with one that the host brought.
    #[error("the plan was made with a tool that its host brought, and its apply names no version")]
    Unversioned,
}

/// An apply stays with what its plan had (`planned`); a plan takes the host's as soon as it can have one.
fn source(
    tool: &Tool,
    planned: Option<Option<Digest>>,
    can_download: bool,
) -> Result<Source, BadTool> {
    let Some(version) = &tool.version else {
        return match planned {
            Some(Some(_)) => Err(BadTool::Unversioned),
            Some(None) | None => Ok(Source::Image),
        };
    };
    let name = ToolName::parse(tool.kind, version)?;
    Ok(match planned {
        Some(None) => Source::Image,
        Some(Some(digest)) => Source::Host(name, Some(digest)),
        None if can_download => Source::Host(name, None),
        None => Source::Image,
    })
}

/// What the worker is told. It checks the version in either case.
///
/// # Errors
/// [`NotExact`].
pub(super) fn tool_from(tool: &Tool, brought: bool) -> Result<ToolFrom, NotExact> {
    let Some(version) = &tool.version else {
        return Ok(ToolFrom::default());
    };
    let version = ToolName::parse(tool.kind, version)?.version();
    Ok(match brought {
        true => ToolFrom::Host { version },
        false => ToolFrom::Image {
            version: Some(version),
        },
    })
}

#[cfg(test)]
mod tests {
    use gantry_protocol::payload::ToolKind;

    use super::*;

    #[test]
    fn an_apply_stays_with_its_plans_tool() {
        let asks = |version: Option<&str>| Tool {
            kind: ToolKind::Terraform,
            version: version.map(str::to_owned),
        };
        let name = ToolName::parse(ToolKind::Terraform, "1.9.8").unwrap();
        let host = |digest| Source::Host(name.clone(), digest);
        let digest = Digest::of(b"terraform");
        let table = [
            (None, None, true, Source::Image),
            (None, Some(None), true, Source::Image),
            (Some("1.9.8"), None, false, Source::Image),
            (Some("1.9.8"), None, true, host(None)),
            // The plan's launcher had no keys, or this one has none.
            (Some("1.9.8"), Some(None), true, Source::Image),
            (Some("1.9.8"), Some(Some(digest)), false, host(Some(digest))),
            (Some("1.9.8"), Some(Some(digest)), true, host(Some(digest))),
        ];
        for (version, planned, can, expected) in table {
            let found = source(&asks(version), planned, can).unwrap();
            assert_eq!(found, expected, "{version:?} {planned:?} {can}");
        }
        // Else the image's own would apply what another one planned.
        assert!(source(&asks(None), Some(Some(digest)), true).is_err());
        for range in ["~> 1.9", ">= 1.5", "1.9"] {
            assert!(source(&asks(Some(range)), None, true).is_err(), "{range}");
            assert!(tool_from(&asks(Some(range)), false).is_err(), "{range}");
        }
    }
}
