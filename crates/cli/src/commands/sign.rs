//! `gantry sign`: a signature for a run, to be sent with it by any client.

use gantry_protocol::RunType;

use crate::args::SignArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::sign::{self, Wish};

pub async fn run(context: &Context, args: SignArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let (stack, triggered_by) = (args.stack.as_str(), args.triggered_by.as_deref());
    let wish = match (&args.run, &args.task, &args.retry) {
        (Some(run), ..) if args.replan.is_empty() => Wish::Apply { stack, run },
        (Some(run), ..) => Wish::Replan {
            stack,
            run,
            targets: &args.replan,
        },
        (None, _, Some(run)) => Wish::Retry {
            stack,
            run,
            triggered_by,
        },
        (None, Some(command), None) => Wish::Task {
            stack,
            command,
            skip_init: args.no_init,
            triggered_by,
        },
        (None, None, None) => Wish::Plan {
            stack,
            run_type: match args.preview {
                true => RunType::Proposed,
                false => RunType::Tracked,
            },
            commit: args.commit.as_deref(),
            triggered_by,
        },
    };
    let signed = sign::sign(context, &api, &wish, &args.signer).await?;
    context.printer.note(&sign::told(&signed));
    match context.printer.json() {
        true => context.printer.json_line(&signed)?,
        false => context
            .printer
            .data(format!("{}\n", signed.entry).as_bytes())?,
    }
    Ok(Exit::Done)
}
