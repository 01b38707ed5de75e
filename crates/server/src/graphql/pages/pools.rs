//! A page of pools.

use std::collections::HashMap;

use async_graphql::{Context, Error};
use gantry_protocol::{LauncherId, PoolId};
use tokio::sync::OnceCell;

use crate::graphql::context::look;
use crate::store::launchers::{self, Launcher};
use crate::store::leases::{self, Held};
use crate::store::pool_keys::{self, PoolKey};
use crate::store::pools::Pool;
use crate::store::runs;
use crate::store::spaces::Space;

/// A launcher, and what it is busy with.
pub(in crate::graphql) type Busy = (Launcher, Held);

#[derive(Default)]
pub(in crate::graphql) struct PoolPage {
    /// The pools; a place in this list names one of them.
    pub(in crate::graphql) pools: Vec<Pool>,
    launchers: OnceCell<HashMap<PoolId, Vec<Busy>>>,
    waiting: OnceCell<HashMap<PoolId, u32>>,
    keys: OnceCell<HashMap<PoolId, Vec<PoolKey>>>,
    spaces: OnceCell<HashMap<String, Space>>,
}

impl PoolPage {
    pub(in crate::graphql) fn new(pools: Vec<Pool>) -> Self {
        Self {
            pools,
            ..Self::default()
        }
    }

    fn ids(&self) -> Vec<PoolId> {
        self.pools.iter().map(|pool| pool.id).collect()
    }

    /// The launchers of a pool that were not revoked, newest first.
    pub(in crate::graphql) async fn launchers(
        &self,
        ctx: &Context<'_>,
        id: PoolId,
    ) -> Result<&[Busy], Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            let all = launchers::of_pools(&mut conn, &self.ids()).await?;
            let ids = all.values().flatten().map(|launcher| launcher.id);
            let ids: Vec<LauncherId> = ids.collect();
            let held = leases::held_by(&mut conn, &ids).await?;
            let busy = |launcher: Launcher| {
                let held = held.get(&launcher.id).copied().unwrap_or_default();
                (launcher, held)
            };
            let of_pool =
                |(pool, all): (PoolId, Vec<Launcher>)| (pool, all.into_iter().map(busy).collect());
            Ok::<_, Error>(all.into_iter().map(of_pool).collect())
        };
        let all: &HashMap<_, _> = self.launchers.get_or_try_init(ask).await?;
        Ok(all.get(&id).map_or(&[], Vec::as_slice))
    }

    /// How many runs of a pool wait for a launcher.
    pub(in crate::graphql) async fn waiting(
        &self,
        ctx: &Context<'_>,
        id: PoolId,
    ) -> Result<u32, Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            Ok::<_, Error>(runs::waiting_in(&mut conn, &self.ids()).await?)
        };
        let all = self.waiting.get_or_try_init(ask).await?;
        Ok(all.get(&id).copied().unwrap_or(0))
    }

    /// Every key of a pool, newest first.
    pub(in crate::graphql) async fn keys(
        &self,
        ctx: &Context<'_>,
        id: PoolId,
    ) -> Result<&[PoolKey], Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            Ok::<_, Error>(pool_keys::of_pools(&mut conn, &self.ids()).await?)
        };
        let all = self.keys.get_or_try_init(ask).await?;
        Ok(all.get(&id).map_or(&[], Vec::as_slice))
    }

    /// The space of a pool.
    pub(in crate::graphql) async fn space(
        &self,
        ctx: &Context<'_>,
        id: &str,
    ) -> Result<Option<&Space>, Error> {
        let ask = || async {
            let ids = self.pools.iter().map(|pool| pool.space.clone());
            let ids: Vec<String> = ids.collect();
            Ok::<_, Error>(look(ctx)?.spaces_named(&ids).await?)
        };
        Ok(self.spaces.get_or_try_init(ask).await?.get(id))
    }
}
