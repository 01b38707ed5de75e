//! What has to be let through: requests as gateways send them, one for each row at least.
//!
//! Gives method, target, purpose and project. Every project is `team/app` or, where names have three parts,
//! `org/team/app`, so that look-alikes can be made of them.

use gantry_vcs_agent::vendor::Vendor;

pub(crate) const SHA: &str = "565958b65e14a5e06c1c467a66b446f2afcf87ef";

/// A request and what it is taken for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    pub(crate) purpose: &'static str,
    /// Empty for none.
    pub(crate) project: &'static str,
}

const fn case(
    method: &'static str,
    target: &'static str,
    purpose: &'static str,
    project: &'static str,
) -> Case {
    Case {
        method,
        target,
        purpose,
        project,
    }
}

const REFS: &str = "Git Clone - info/refs";
const PACK: &str = "Git Clone - git-upload-pack";

pub(crate) fn of(vendor: Vendor) -> &'static [Case] {
    match vendor {
        Vendor::Gitlab => GITLAB,
        Vendor::GithubEnterprise => GITHUB,
        Vendor::BitbucketDatacenter => BITBUCKET,
        Vendor::AzureDevops => AZURE,
    }
}

macro_rules! cases {
    ($name:ident, $project:literal: $($method:ident $target:literal $purpose:expr, $whose:tt;)*) => {
        const $name: &[Case] = &[$(case(stringify!($method), $target, $purpose, cases!(@ $whose $project))),*];
    };
    (@ ours $project:literal) => { $project };
    (@ none $project:literal) => { "" };
    (@ $other:literal $project:literal) => { $other };
}

cases! { GITLAB, "team/app":
    GET "/api/v4" "Get Rate Limit Info", none;
    GET "/api/v4/" "Get Rate Limit Info", none;
    GET "/api/v4/version" "Get Version", none;
    GET "/api/v4/user" "Get Current User", none;
    GET "/api/v4/projects" "List Projects", none;
    GET "/api/v4/projects?membership=true&per_page=100&page=2" "List Projects", none;
    GET "/api/v4/projects/team%2Fapp" "Get Project", ours;
    GET "/api/v4/projects/team%2fapp" "Get Project", ours;
    GET "/api/v4/projects/17" "Get Project", "17";
    GET "/api/v4/projects/a%2Fb%2Fc%2Fd" "Get Project", "a/b/c/d";
    GET "/api/v4/projects/my%2Egroup%2Fapp%2Ex" "Get Project", "my.group/app.x";
    GET "/api/v4/projects/team%2Fapp/repository/branches?per_page=100" "List Branches", ours;
    GET "/api/v4/projects/team%2Fapp/repository/branches/feature%2Fone" "Get Branch", ours;
    GET "/api/v4/projects/team%2Fapp/repository/commits?ref_name=main&per_page=1" "List Commits", ours;
    GET "/api/v4/projects/team%2Fapp/repository/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef" "Get Commit", ours;
    POST "/api/v4/projects/team%2Fapp/statuses/565958b65e14a5e06c1c467a66b446f2afcf87ef" "Set Commit Status", ours;
    POST "/api/v4/projects/team%2Fapp/repository/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef/comments" "Make Commit Comment", ours;
    POST "/api/v4/projects/team%2Fapp/environments" "Create Environment", ours;
    POST "/api/v4/projects/team%2Fapp/environments/3/stop" "Stop Environment", ours;
    DELETE "/api/v4/projects/team%2Fapp/environments/3" "Delete Environment", ours;
    GET "/api/v4/projects/team%2Fapp/environments" "List Environments", ours;
    GET "/api/v4/projects/team%2Fapp/repository/compare?from=main&to=feature%2Fone" "Get Affected Files", ours;
    GET "/api/v4/projects/team%2Fapp/repository/archive?sha=main" "Get Repository Tarball", ours;
    GET "/api/v4/projects/team%2Fapp/repository/archive.tar.gz?sha=main" "Get Repository Tarball", ours;
    GET "/api/v4/projects/team%2Fapp/repository/files/%2Espacelift%2Fconfig%2Eyml/raw?ref=main" "Get Spacelift Configuration", ours;
    GET "/api/v4/projects/team%2Fapp/repository/files/infra%2Faws%2F.spacelift%2Fconfig.yml/raw?ref=main" "Get Spacelift Configuration", ours;
    POST "/api/v4/projects/team%2Fapp/deployments" "Create Deployment", ours;
    PUT "/api/v4/projects/team%2Fapp/deployments/4" "Update Deployment", ours;
    GET "/api/v4/projects/team%2Fapp/merge_requests/5" "Get a single Merge Request", ours;
    GET "/api/v4/projects/team%2Fapp/merge_requests/5/approvals" "Get Merge Request Approvals", ours;
    GET "/api/v4/projects/team%2Fapp/merge_requests?state=opened" "List Merge Requests", ours;
    GET "/api/v4/projects/team%2Fapp/repository/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef/merge_requests" "List Merge Requests by Commit", ours;
    POST "/api/v4/projects/team%2Fapp/merge_requests/5/notes" "Make Merge Request Note", ours;
    PUT "/api/v4/projects/team%2Fapp/merge_requests/5/notes/6" "Update Merge Request Note", ours;
    GET "/team/app.git/info/refs?service=git-upload-pack" REFS, ours;
    GET "/team/app/info/refs?service=git-upload-pack" REFS, ours;
    GET "/a/b/c/d/e.git/info/refs?service=git-upload-pack" REFS, "a/b/c/d/e";
    POST "/team/app.git/git-upload-pack" PACK, ours;
    POST "/a/b/c.git/git-upload-pack" PACK, "a/b/c";
}

cases! { GITHUB, "team/app":
    GET "/repos/team/app/compare/abc...123" "Compare Trees", ours;
    GET "/api/v3/repos/team/app/compare/release%2F1.0...feature%2Fone?per_page=100" "Compare Trees", ours;
    POST "/api/v3/repos/team/app/statuses/565958b65e14a5e06c1c467a66b446f2afcf87ef" "Create Commit Status", ours;
    POST "/repos/team/app/statuses/abc123" "Create Commit Status", ours;
    POST "/repos/team/app/check-runs" "Create Check Run", ours;
    POST "/repos/team/app/deployments" "Create Deployment", ours;
    POST "/api/v3/repos/team/app/deployments/123456/statuses" "Create Deployment Status", ours;
    DELETE "/repos/team/app/deployments/123456" "Delete Deployment", ours;
    GET "/api/v3/repos/team/app/deployments?environment=gantry" "List Deployments", ours;
    GET "/repos/team/app/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef" "Get Individual Commit Details", ours;
    GET "/api/v3/repos/team/app/commits/feature%2Fone" "Get Individual Commit Details", ours;
    GET "/api/v3/repos/team/app/commits?sha=main&per_page=1" "List Commits", ours;
    POST "/api/v3/repos/team/app/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef/comments" "Make Commit Comment", ours;
    GET "/api/v3/repos/team/app" "Get Repository", ours;
    GET "/api/v3/repos/team/app/branches?per_page=100&page=2" "List Branches", ours;
    GET "/api/v3/repos/team/app/branches/feature%2Fone" "Get Branch", ours;
    GET "/api/v3/repos/team/app/contents/.spacelift/config.yml?ref=main" "Get Spacelift Configuration", ours;
    GET "/repos/team/app/contents/infra/aws/.spacelift/config.yml" "Get Spacelift Configuration", ours;
    GET "/repos/team/app/tarball/main" "Get Repository Tarball", ours;
    GET "/_codeload/team/app/legacy.tar.gz/565958b65e14a5e06c1c467a66b446f2afcf87ef" "Get Repository Tarball", ours;
    GET "/codeload/team/app/legacy.tar.gz/main?token=ABC" "Get Repository Tarball", ours;
    GET "/team/app/legacy.tar.gz/refs/heads/feature/one" "Get Repository Tarball", ours;
    GET "/codeload-org/app/legacy.tar.gz/main" "Get Repository Tarball", "codeload-org/app";
    GET "/repos/team/app/pulls/123/files?per_page=100" "List Pull Request Files", ours;
    GET "/api/v3/repos/team/app/pulls/123" "Get Pull Request", ours;
    POST "/api/v3/app/installations/29/access_tokens" "Refresh Access Token", none;
    GET "/app/installations" "List Installations", none;
    GET "/api/v3/app" "Get app details", none;
    GET "/users/gantry%5Fbot" "Get user details", none;
    GET "/api/v3/user" "Get Current User", none;
    GET "/api/v3/rate_limit" "Get Rate Limit Info", none;
    GET "/api/v3/installation/repositories?per_page=100" "List Repositories", none;
    GET "/api/v3/user/repos?per_page=100" "List Repositories", none;
    GET "/orgs/team/repos" "List Repositories", none;
    GET "/team/app.git/info/refs?service=git-upload-pack" REFS, ours;
    GET "/team/app/info/refs?service=git-upload-pack" REFS, ours;
    POST "/team/app.git/git-upload-pack" PACK, ours;
}

cases! { BITBUCKET, "team/app":
    GET "/rest/api/1.0/users/gantry" "Get User", none;
    GET "/rest/api/1.0/application-properties" "Get Version", none;
    GET "/rest/api/1.0/repos?limit=100&start=0" "List Repositories", none;
    GET "/rest/api/1.0/projects/team/repos?limit=100" "List Repositories", none;
    GET "/rest/api/1.0/projects/team/repos/app" "Get Repository", ours;
    GET "/rest/api/1.0/projects/~jo/repos/notes" "Get Repository", "~jo/notes";
    GET "/rest/api/1.0/projects/team/repos/app/branches?filterText=main" "List Branches", ours;
    GET "/rest/api/1.0/projects/team/repos/app/branches/default" "Get Default Branch", ours;
    GET "/rest/api/1.0/projects/team/repos/app/default-branch" "Get Default Branch", ours;
    GET "/rest/api/1.0/projects/team/repos/app/commits?until=refs%2Fheads%2Fmain&limit=1" "List Commits", ours;
    GET "/rest/api/1.0/projects/team/repos/app/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef" "Get Commit", ours;
    POST "/rest/api/1.0/projects/team/repos/app/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef/builds" "Set Commit Status", ours;
    GET "/rest/api/1.0/projects/team/repos/app/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef/pull-requests" "List PRs by Commit", ours;
    GET "/rest/api/1.0/projects/team/repos/app/pull-requests/7/diff" "Get PR Diff", ours;
    GET "/rest/api/1.0/projects/team/repos/app/compare/changes?from=a&to=b" "Get Affected Files", ours;
    GET "/rest/api/1.0/projects/team/repos/app/compare/commits?from=a&to=b&fromRepo=team%2Fapp" "Compare Commits", ours;
    GET "/rest/api/1.0/projects/team/repos/app/archive?format=tgz&at=main" "Get Repository Tarball", ours;
    GET "/projects/team/repos/app/raw/.spacelift/config.yml?at=main" "Get Spacelift Configuration", ours;
    GET "/projects/team/repos/app/raw/infra/aws/.spacelift/config.yml" "Get Spacelift Configuration", ours;
    GET "/rest/api/1.0/projects/team/repos/app/raw/.spacelift/config.yml?at=main" "Get Spacelift Configuration", ours;
    GET "/rest/api/1.0/projects/team/repos/app/pull-requests?state=OPEN" "List PRs by Branch", ours;
    GET "/rest/api/1.0/projects/team/repos/app/pull-requests/7" "Get a single Pull Request", ours;
    GET "/rest/api/1.0/projects/team/repos/app/pull-requests/7/merge" "Check PR Mergeability", ours;
    POST "/rest/api/1.0/projects/team/repos/app/pull-requests/7/comments" "Make PR Comment", ours;
    GET "/rest/api/1.0/projects/team/repos/app/pull-requests/7/comments/8" "Get a single Pull Request Comment", ours;
    PUT "/rest/api/1.0/projects/team/repos/app/pull-requests/7/comments/8" "Update a Pull Request Comment", ours;
    GET "/scm/team/app.git/info/refs?service=git-upload-pack" REFS, ours;
    POST "/scm/team/app.git/git-upload-pack" PACK, ours;
}

cases! { AZURE, "org/team/app":
    GET "/org/team/_apis/git/repositories/app/diffs/commits?api-version=7.1-preview.1" "Get Commit Diff", ours;
    POST "/org/team/_apis/git/repositories/app/pullRequests/12345/threads" "Create Pull Request Thread", ours;
    GET "/org/team/_apis/git/repositories/app/pullRequests/123/threads/1" "Get Pull Request Thread", ours;
    PATCH "/org/team/_apis/git/repositories/app/pullRequests/123/threads/1/comments/1" "Update Pull Request Comment", ours;
    GET "/org/team/_apis/git/repositories/app/stats/branches" "List Branch Stats", ours;
    GET "/org/team/_apis/git/repositories/app/items?path=%2F.spacelift%2Fconfig.yml" "Get Item", ours;
    GET "/org/team/_apis/git/repositories/app/items?path=%2F&%24format=zip&api-version=7.1" "Get Item", ours;
    POST "/org/team/_apis/git/repositories/app/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef/statuses" "Create Commit Status", ours;
    GET "/org/team/_apis/git/repositories/app/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef" "Get Commit", ours;
    GET "/org/team/_apis/git/repositories/app/commits?searchCriteria.itemVersion.version=main" "List Commits", ours;
    GET "/org/team/_apis/git/repositories/app/commits/565958b65e14a5e06c1c467a66b446f2afcf87ef/changes" "List Changes of a Commit", ours;
    GET "/org/team/_apis/git/repositories/app/refs?filter=heads%2F" "List Refs", ours;
    GET "/org/team/_apis/git/repositories/app" "Get Repository", ours;
    GET "/org/team/_apis/git/repositories/app/pullRequests?api-version=7.1" "List Pull Requests", ours;
    GET "/org/team/_apis/git/repositories/app/pullRequests/1234" "Get Pull Request", ours;
    GET "/org/team/_apis/git/repositories/app/pullRequests/1234/labels" "List Pull Request Labels", ours;
    GET "/tfs/org/team/_apis/git/repositories/app/items?path=%2Fx" "Get Item", ours;
    GET "/org/My%20Project/_apis/git/repositories/the%20app" "Get Repository", "org/My Project/the app";
    GET "/team/_apis/git/repositories/app" "Get Repository", "team/app";
    GET "/org/team/_apis/git/repositories?api-version=7.1" "List Repositories", none;
    GET "/org/_apis/git/repositories" "List Repositories", none;
    GET "/_apis/git/repositories" "List Repositories", none;
    OPTIONS "/org/_apis" "List Resource Locations", none;
    GET "/org/_apis/ResourceAreas" "List Resource Areas", none;
    GET "/tfs/org/_apis/ResourceAreas" "List Resource Areas", none;
    GET "/org/_apis/connectionData" "Get Current User", none;
    GET "/org/team/_apis/policy/evaluations?artifactId=vstfs%3A%2F%2F%2FCodeReview" "List Policy Evaluations", "org/team";
    GET "/org/team/_git/app/info/refs?service=git-upload-pack" REFS, ours;
    GET "/tfs/org/team/_git/app/info/refs?service=git-upload-pack" REFS, ours;
    POST "/org/team/_git/app/git-upload-pack" PACK, ours;
}
