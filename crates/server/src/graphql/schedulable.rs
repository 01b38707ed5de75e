//! Runs that wait for a launcher, in the API.
//!
//! Takes a pool's queue as the dispatcher has it, gives a page of it with positions. Never: another order than the
//! one in which runs are handed out.

use std::collections::HashMap;

use async_graphql::{Error, ID, Object, SimpleObject};
use gantry_protocol::RunId;

use super::enums::OrderDirection;
use super::pages::RunPage;
use super::run::Run;
use super::search::{PageInfo, SearchInput};
use crate::dispatch;
use crate::operations::OperationError;
use crate::store::leases::WaitingRun;
use crate::store::{Conn, runs};

/// The pool of a vendor's shared launchers: a server of one's own has none, and nothing ever waits in it.
pub(super) struct PublicWorkerPool;

/// A page of waiting runs.
#[derive(SimpleObject)]
pub(super) struct SearchSchedulableRunsOutput {
    edges: Vec<SearchSchedulableRunsOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
pub(super) struct SearchSchedulableRunsOutputEdge {
    node: SchedulableRun,
}

/// A run that waits for a launcher.
#[derive(SimpleObject)]
pub(super) struct SchedulableRun {
    stack_id: ID,
    run: Run,
    /// Its place; the next one to be handed out has 1.
    position: usize,
}

#[Object]
impl PublicWorkerPool {
    async fn parallelism(&self) -> u32 {
        0
    }

    async fn busy_workers(&self) -> u32 {
        0
    }

    async fn pending_runs(&self) -> u32 {
        0
    }

    async fn search_schedulable_runs(
        &self,
        input: SearchInput,
    ) -> Result<SearchSchedulableRunsOutput, Error> {
        let (_, page_info) = wish(input)?.page(std::iter::empty::<usize>(), usize::to_string);
        Ok(SearchSchedulableRunsOutput {
            edges: Vec::new(),
            page_info,
        })
    }
}

/// The page of a queue that a client asks for.
pub(super) async fn schedulable_page(
    conn: &mut Conn,
    waiting: Vec<WaitingRun>,
    input: SearchInput,
) -> Result<SearchSchedulableRunsOutput, Error> {
    let queue = dispatch::queue(waiting).into_iter().enumerate();
    let places = queue.map(|(n, run)| (n + 1, run));
    let (places, page_info) = wish(input)?.page(places, |(position, _)| position.to_string());
    let records = {
        let ids: Vec<RunId> = places.iter().map(|(_, run)| *run).collect();
        runs::named(conn, &ids).await?
    };
    let mut found: HashMap<RunId, Run> = Run::many(RunPage::new(records))
        .map(|run| (run.key(), run))
        .collect();
    let edge = |(position, id)| {
        let run = found.remove(&id)?;
        let stack_id = run.stack().to_string().into();
        let node = SchedulableRun {
            stack_id,
            run,
            position,
        };
        Some(SearchSchedulableRunsOutputEdge { node })
    };
    let edges = places.into_iter().filter_map(edge).collect();
    Ok(SearchSchedulableRunsOutput { edges, page_info })
}

fn wish(input: SearchInput) -> Result<super::search::Wish, OperationError> {
    input
        .without_order("position", OrderDirection::Asc)
        .wish(&[], None)
}
