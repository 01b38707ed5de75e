//! A page of runs.

use std::collections::{HashMap, HashSet};

use async_graphql::{Context, Error};
use gantry_protocol::RunId;
use tokio::sync::OnceCell;

use crate::graphql::context::look;
use crate::store::reviews::{self, ReviewRow};
use crate::store::run_flags;
use crate::store::runs::{self, RunRecord, TransitionRow};

#[derive(Default)]
pub(in crate::graphql) struct RunPage {
    /// The runs; a place in this list names one of them.
    pub(in crate::graphql) runs: Vec<RunRecord>,
    overtaken: OnceCell<HashSet<RunId>>,
    needing_approval: OnceCell<HashSet<RunId>>,
    histories: OnceCell<HashMap<RunId, Vec<TransitionRow>>>,
    reviews: OnceCell<HashMap<RunId, Vec<ReviewRow>>>,
    flags: OnceCell<HashMap<RunId, Vec<String>>>,
}

impl RunPage {
    pub(in crate::graphql) fn new(runs: Vec<RunRecord>) -> Self {
        Self {
            runs,
            ..Self::default()
        }
    }

    fn ids(&self) -> Vec<RunId> {
        self.runs.iter().map(|record| record.run.id).collect()
    }

    /// Whether the stack has a newer run of the same type.
    pub(in crate::graphql) async fn is_overtaken(
        &self,
        ctx: &Context<'_>,
        id: RunId,
    ) -> Result<bool, Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            Ok::<_, Error>(runs::overtaken(&mut conn, &self.ids()).await?)
        };
        Ok(self.overtaken.get_or_try_init(ask).await?.contains(&id))
    }

    /// Whether approval policies have a say before the run goes on.
    pub(in crate::graphql) async fn needs_approval(
        &self,
        ctx: &Context<'_>,
        id: RunId,
    ) -> Result<bool, Error> {
        let ask = || async { Ok::<_, Error>(look(ctx)?.needing_approval(&self.runs).await?) };
        let needing = self.needing_approval.get_or_try_init(ask).await?;
        Ok(needing.contains(&id))
    }

    /// Newest first.
    pub(in crate::graphql) async fn history(
        &self,
        ctx: &Context<'_>,
        id: RunId,
    ) -> Result<&[TransitionRow], Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            Ok::<_, Error>(runs::histories(&mut conn, &self.ids()).await?)
        };
        let all = self.histories.get_or_try_init(ask).await?;
        Ok(all.get(&id).map_or(&[], Vec::as_slice))
    }

    /// In the order in which policies set them first.
    pub(in crate::graphql) async fn flags(
        &self,
        ctx: &Context<'_>,
        id: RunId,
    ) -> Result<&[String], Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            Ok::<_, Error>(run_flags::of_runs(&mut conn, &self.ids()).await?)
        };
        let all = self.flags.get_or_try_init(ask).await?;
        Ok(all.get(&id).map_or(&[], Vec::as_slice))
    }

    /// Oldest first.
    pub(in crate::graphql) async fn reviews(
        &self,
        ctx: &Context<'_>,
        id: RunId,
    ) -> Result<&[ReviewRow], Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            Ok::<_, Error>(reviews::of_runs(&mut conn, &self.ids()).await?)
        };
        let all = self.reviews.get_or_try_init(ask).await?;
        Ok(all.get(&id).map_or(&[], Vec::as_slice))
    }
}
