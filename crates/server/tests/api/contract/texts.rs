//! Operations as they look on the wire, by what they are about.

macro_rules! hooks {
    () => {
        "afterApply,beforeApply,afterInit,beforeInit,afterPlan,beforePlan,afterPerform,beforePerform,afterDestroy,beforeDestroy"
    };
}
macro_rules! commit {
    () => {
        "trackedCommit{authorLogin,authorName,hash,message,timestamp,url},trackedCommitSetBy"
    };
}
macro_rules! page_info {
    () => {
        "pageInfo{endCursor,hasNextPage,hasPreviousPage}"
    };
}
macro_rules! listed_stack {
    () => {
        concat!("id,administrative,autodeploy,autoretry,blocker{id},", hooks!(), ",branch,canWrite,createdAt,deleted,deleting,description,labels,localPreviewEnabled,lockedBy,managesStateFile,name,namespace,projectRoot,provider,repository,runnerImage,starred,state,stateSetAt,terraformVersion,spaceDetails{id,name,description,parentSpace},", commit!(), ",vendorConfig{__typename},workerPool{id,name}")
    };
}
macro_rules! shown_stack {
    ($vendor:literal) => {
        concat!("query($stackId:ID!){stack(id: $stackId){id,administrative,attachedContexts{contextId,contextName,priority,config{id,checksum,runtime,type,writeOnly}},attachedPolicies{policyId,policyName,policyType},autodeploy,autoretry,blocker{id},", hooks!(), ",branch,canWrite,config{id,checksum,runtime,type,writeOnly},createdAt,deleted,deleting,description,labels,localPreviewEnabled,lockedBy,managesStateFile,moduleVersionsUsed{id,number,module{id,name,owner}},name,namespace,projectRoot,additionalProjectGlobs,provider,repository,runnerImage,starred,state,stateSetAt,terraformVersion,", commit!(), ",vendorConfig{", $vendor, "},workerPool{id,name}}}")
    };
}
macro_rules! policy {
    () => {
        "id,name,description,body,spaceDetails{id,name,accessLevel},createdAt,updatedAt,type,labels"
    };
}
macro_rules! search {
    ($field:literal, $node:expr) => {
        concat!(
            "query($input:SearchInput!){",
            $field,
            "(input: $input){edges{node{",
            $node,
            "}},",
            page_info!(),
            "}}"
        )
    };
}

/// Questions that need nothing but a stack `net`, with the variables that go with it.
pub(super) const QUESTIONS: &[(&str, &str)] = &[
    ("{debugInfo{selfHostedVersion}}", "{}"),
    ("{viewer{id,name}}", "{}"),
    ("{viewer{id}}", "{}"),
    ("query($id:ID!){stack(id: $id){id,name}}", r#"{"id":"net"}"#),
    (
        search!("searchStacks", "id,name"),
        r#"{"input":{"first":50,"after":null,"fullTextSearch":null,"predicates":[{"field":"repository","constraint":{"booleanEquals":null,"enumEquals":null,"stringMatches":["acme/infra"]},"exclude":false},{"field":"projectRoot","constraint":{"booleanEquals":null,"enumEquals":null,"stringMatches":["sub","sub/"]},"exclude":false}],"orderBy":null}}"#,
    ),
    (
        search!("searchStacks", listed_stack!()),
        r#"{"input":{"first":50,"after":null,"fullTextSearch":null,"predicates":null,"orderBy":null}}"#,
    ),
    (
        shown_stack!(
            "__typename,... on StackConfigVendorAnsible{playbook},... on StackConfigVendorCloudFormation{entryTemplateFile,templateBucket,stackName,region},... on StackConfigVendorKubernetes{namespace,kubectlVersion,kubernetesWorkflowTool},... on StackConfigVendorOpenTofu{version,workspace,useSmartSanitization,externalStateAccessEnabled,concise,openTofuWorkflowTool: workflowTool},... on StackConfigVendorPulumi{loginURL,stackName},... on StackConfigVendorTerraform{version,workspace,useSmartSanitization,externalStateAccessEnabled,terraformWorkflowTool: workflowTool},... on StackConfigVendorTerragrunt{terraformVersion,terragruntVersion,useRunAll,useSmartSanitization,tool,useStateManagement}"
        ),
        r#"{"stackId":"net"}"#,
    ),
    (
        shown_stack!(
            "__typename,... on StackConfigVendorPulumi{loginURL,stackName},... on StackConfigVendorTerraform{version,workspace}"
        ),
        r#"{"stackId":"net"}"#,
    ),
    (
        "query($stackId:ID!){stack(id: $stackId){id,name,outputs{id,sensitive,description,value}}}",
        r#"{"stackId":"net"}"#,
    ),
    (
        "query($id:ID!){stack(id: $id){id,labels,space,name,dependsOn{stack{id,name},dependsOnStack{id,name}},isDependedOnBy{stack{id,name},dependsOnStack{id,name}}}}",
        r#"{"id":"net"}"#,
    ),
    (
        concat!("query($id:ID!){stack(id: $id){", listed_stack!(), "}}"),
        r#"{"id":"net"}"#,
    ),
    (
        "query($stack:ID!){stack(id: $stack){runtimeConfig{context{id,contextName},element{id,checksum,createdAt,runtime,type,value,writeOnly}},attachedContexts{contextId,contextName,priority,isAutoattached,config{id,checksum,createdAt,runtime,type,value,writeOnly}}}}",
        r#"{"stack":"net"}"#,
    ),
    (
        "query($before:ID$stackId:ID!){stack(id: $stackId){tasks(before: $before){id,command,commit{hash},createdAt,state,triggeredBy}}}",
        r#"{"before":null,"stackId":"net"}"#,
    ),
    (
        "query($before:ID$stackId:ID!){stack(id: $stackId){tasks(before: $before){id,command,commit{hash,url},createdAt,state,triggeredBy,type}}}",
        r#"{"before":null,"stackId":"net"}"#,
    ),
    (
        "query($before:ID$stackId:ID!){stack(id: $stackId){runs(before: $before){id,state,title,commit{authorName,hash},createdAt,triggeredBy,delta{addCount,changeCount,deleteCount}}}}",
        r#"{"before":null,"stackId":"net"}"#,
    ),
    (
        "query($before:ID$stackId:ID!){stack(id: $stackId){runs(before: $before){id,branch,canRetry,comments{body,createdAt,username},commit{authorLogin,authorName,hash},createdAt,delta{addCount,changeCount,deleteCount,resources},driftDetection,expired,isMostRecent,needsApproval,state,title,triggeredBy}}}",
        r#"{"before":null,"stackId":"net"}"#,
    ),
    (
        "query($before:ID$stackId:ID!){stack(id: $stackId){proposedRuns(before: $before){id,branch,canRetry,comments{body,createdAt,username},commit{authorLogin,authorName,hash},createdAt,delta{addCount,changeCount,deleteCount,resources},driftDetection,expired,isMostRecent,needsApproval,state,title,triggeredBy}}}",
        r#"{"before":null,"stackId":"net"}"#,
    ),
    (
        "query($before:ID$stackId:ID!){stack(id: $stackId){runs(before: $before){id}}}",
        r#"{"before":null,"stackId":"net"}"#,
    ),
    (
        "{workerPools{id,name,description,pendingRuns,busyWorkers,workers{id}}}",
        "{}",
    ),
    (
        concat!(
            "query($input:SearchInput!){publicWorkerPool{searchSchedulableRuns(input: $input){edges{node{stackId,run{id,createdAt,state,type,title},position}},",
            page_info!(),
            "}}}"
        ),
        r#"{"input":{"first":100,"after":null,"fullTextSearch":null,"predicates":null,"orderBy":{"field":"position","direction":"ASC"}}}"#,
    ),
    (
        search!("searchPolicies", policy!()),
        r#"{"input":{"first":50,"after":null,"fullTextSearch":null,"predicates":null,"orderBy":null}}"#,
    ),
    (
        search!(
            "searchAuditTrailEntries",
            "id,action,actor{run{id,stackId},username},affectedResource{resourceId,resourceType},body,eventType,relatedResource{resourceId,resourceType},createdAt,updatedAt"
        ),
        r#"{"input":{"first":50,"after":null,"fullTextSearch":null,"predicates":null,"orderBy":{"field":"createdAt","direction":"DESC"}}}"#,
    ),
    (
        search!(
            "searchBlueprints",
            "id,name,state,description,labels,createdAt,updatedAt,rawTemplate,inputs{id,name,default,options,type},space{id,name,accessLevel}"
        ),
        r#"{"input":{"first":50,"after":null,"fullTextSearch":null,"predicates":null,"orderBy":null}}"#,
    ),
    (
        "query($blueprintId:ID!){blueprint(id: $blueprintId){id,deleted,name,description,createdAt,updatedAt,state,inputs{id,name,default,description,options,type},space{id,name,accessLevel},labels,rawTemplate}}",
        r#"{"blueprintId":"b"}"#,
    ),
    (
        search!(
            "searchTemplates",
            "id,name,description,labels,createdAt,updatedAt,deploymentsCount,space{id,name,accessLevel}"
        ),
        r#"{"input":{"first":50,"after":null,"fullTextSearch":null,"predicates":null,"orderBy":null}}"#,
    ),
    (
        "query($templateId:ID!){template(id: $templateId){id,name,description,labels,createdAt,updatedAt,deploymentsCount,space{id,name,accessLevel},canDelete,latestVersion{id,version}}}",
        r#"{"templateId":"t"}"#,
    ),
    (
        search!(
            "searchModules",
            "id,administrative,apiHost,branch,description,canWrite,isDisabled,createdAt,labels,name,namespace,projectRoot,provider,repository,terraformProvider,localPreviewEnabled,current{id,number,state,yanked},spaceDetails{id,name,accessLevel},workerPool{id,name},starred"
        ),
        r#"{"input":{"first":50,"after":null,"fullTextSearch":null,"predicates":null,"orderBy":null}}"#,
    ),
    (
        concat!(
            "query($id:ID!$input:SearchInput!){module(id: $id){searchModuleVersions(input: $input){",
            page_info!(),
            ",edges{node{id,commit{authorLogin,authorName,hash,message,timestamp,url},downloadLink,number,sourceURL,state,versionCount,yanked}}}}}"
        ),
        r#"{"id":"m","input":{"first":20,"after":null,"fullTextSearch":null,"predicates":[{"field":"state","constraint":{"booleanEquals":null,"enumEquals":["FAILED"],"stringMatches":null},"exclude":true}],"orderBy":{"field":"createdAt","direction":"DESC"}}}"#,
    ),
    (
        "query($module:ID!$run:ID!){module(id: $module){run(id: $run){id,title,state,finished}}}",
        r#"{"module":"m","run":"r"}"#,
    ),
    (
        "{gpgKeys{id,createdAt,createdBy,description,name,revokedAt,revokedBy,updatedAt}}",
        "{}",
    ),
    (
        "query($id:ID!){terraformProvider(id: $id){versions{id,createdAt,description,number,platforms{architecture,os},protocolVersions,status,updatedAt}}}",
        r#"{"id":"p"}"#,
    ),
    // What the assistant server of the same client asks for.
    (
        "{apiKeys{id,name,description,type,admin,creator,createdAt,lastUsedAt,deleted,teams,teamCount,spaceCount,isMachineUser,expiresAt}}",
        "{}",
    ),
    (
        "query($id:ID!){apiKey(id: $id){id,name,description,type,admin,creator,createdAt,lastUsedAt,deleted,teams,teamCount,spaceCount,isMachineUser,expiresAt,accessRules{space,spaceAccessLevel}}}",
        r#"{"id":"k"}"#,
    ),
    (
        search!(
            "searchContexts",
            "id,name,labels,createdAt,updatedAt,spaceDetails{id,name},description,hasAttachedStacks"
        ),
        r#"{"input":{"first":50,"after":null,"fullTextSearch":null,"predicates":null,"orderBy":null}}"#,
    ),
    (
        "query($contextId:ID!){context(id: $contextId){id,name,labels,createdAt,updatedAt,spaceDetails{id,name},description,hasAttachedStacks,config{id,type,value,writeOnly,description,checksum,runtime},attachedStacks{stackId,stackName,isAutoattached,priority}}}",
        r#"{"contextId":"c"}"#,
    ),
    (
        "{spaces{id,name,description,parentSpace,inheritEntities,accessLevel,labels}}",
        "{}",
    ),
    (
        "query($spaceId:ID!){space(id: $spaceId){id,name,description,parentSpace,inheritEntities,accessLevel,labels}}",
        r#"{"spaceId":"root"}"#,
    ),
    (
        search!(
            "searchWorkerPools",
            "id,name,description,createdAt,updatedAt,deleted,spaceDetails{id,name},labels,workersCount,busyWorkers,pendingRuns"
        ),
        r#"{"input":{"first":50,"after":null,"fullTextSearch":null,"predicates":null,"orderBy":null}}"#,
    ),
    (
        "query($moduleId:ID!){module(id: $moduleId){id,name,description,terraformProvider,repository,branch,projectRoot,public,labels,createdAt,current{id,number,state,createdAt,notes,yanked},latest{id,number,state,createdAt,notes,yanked},moduleSource,ownerSubdomain,workflowTool,localPreviewEnabled,isDisabled,versionsCount,spaceDetails{id,name}}}",
        r#"{"moduleId":"m"}"#,
    ),
    (
        "query($includeFailed:Boolean!$moduleId:ID!){module(id: $moduleId){versions(includeFailed: $includeFailed){id,number,state,createdAt,notes,yanked}}}",
        r#"{"includeFailed":false,"moduleId":"m"}"#,
    ),
];

/// Questions about a pool.
pub(super) const OF_POOL: &[&str] = &[
    "query($workerPool:ID!){workerPool(id: $workerPool){workers{id,busy,drained,metadata}}}",
    "query($workerPool:ID!){workerPool(id: $workerPool){workers{id,drained,busy}}}",
    "query($workerPool:ID!){workerPool(id: $workerPool){id,name,description,createdAt,updatedAt,deleted,spaceDetails{id,name},labels,workersCount,busyWorkers,pendingRuns,managedByK8sController}}",
    "query($workerPool:ID!){workerPool(id: $workerPool){pendingRuns,workers{id,busy,createdAt,availableAt,drained,metadata}}}",
];

/// A policy's own questions.
pub(super) const OF_POLICY: &[&str] = &[
    concat!(
        "query($policyId:ID!){policy(id: $policyId){",
        policy!(),
        "}}"
    ),
    "query($policyId:ID!){policy(id: $policyId){id,evaluationRecords{key,outcome,timestamp}}}",
];

/// Changes of what this server does not keep: each is refused in one sentence.
pub(super) const NOT_KEPT: &[(&str, &str)] = &[
    (
        "mutation($id:ID!$input:BlueprintStackCreateInput!){blueprintCreateStack(id: $id, input: $input){stackID}}",
        r#"{"id":"b","input":{"templateInputs":[{"id":"a","value":"1"}]}}"#,
    ),
    (
        "mutation($commitSha:String$module:ID!$version:String){versionCreate(module: $module, commitSha: $commitSha, version: $version){id,number}}",
        r#"{"commitSha":null,"module":"m","version":null}"#,
    ),
    (
        "mutation($id:ID!$module:ID!){versionDelete(id: $id, module: $module){number}}",
        r#"{"id":"v","module":"m"}"#,
    ),
    (
        "mutation($module:ID!$testIds:[String!]$workspace:ID!){versionProposeLocalWorkspace(module: $module, workspace: $workspace, testIds: $testIds){id,title,state,finished}}",
        r#"{"module":"m","testIds":[],"workspace":"w"}"#,
    ),
    (
        "mutation($asciiArmor:String!$name:String!){gpgKeyCreate(name: $name, asciiArmor: $asciiArmor){id,createdAt,createdBy,description,name,revokedAt,revokedBy,updatedAt}}",
        r#"{"asciiArmor":"a","name":"n"}"#,
    ),
    (
        "mutation($id:ID!){gpgKeyRevoke(id: $id){id,createdAt,createdBy,description,name,revokedAt,revokedBy,updatedAt}}",
        r#"{"id":"k"}"#,
    ),
    (
        "mutation($input:TerraformProviderVersionInput!$provider:ID!){terraformProviderVersionCreate(provider: $provider, input: $input){sha256SumsUploadURL,sha256SumsUploadHeaders{entries{key,value}},sha256SumsSigUploadURL,sha256SumsSigUploadHeaders{entries{key,value}},version{id}}}",
        r#"{"input":{"number":"1.0.0","protocolVersions":["5.0"],"shaSumsFileSHA":"a","signatureFileSHA":"b","signingKeyId":"k"},"provider":"p"}"#,
    ),
    (
        "mutation($input:TerraformProviderVersionPlatformInput!$version:ID!){terraformProviderVersionRegisterPlatformV2(version: $version, input: $input){uploadUrl,uploadHeaders{entries{key,value}}}}",
        r#"{"input":{"architecture":"amd64","archiveChecksum":"a","binaryChecksum":"b","os":"linux"},"version":"v"}"#,
    ),
    (
        "mutation($description:String!$version:ID!){terraformProviderVersionUpdate(version: $version, description: $description){id}}",
        r#"{"description":"d","version":"v"}"#,
    ),
    (
        "mutation($version:ID!){terraformProviderVersionPublish(version: $version){id,createdAt,description,number,platforms{architecture,os},protocolVersions,status,updatedAt}}",
        r#"{"version":"v"}"#,
    ),
    (
        "mutation($version:ID!){terraformProviderVersionRevoke(version: $version){id,createdAt,description,number,platforms{architecture,os},protocolVersions,status,updatedAt}}",
        r#"{"version":"v"}"#,
    ),
    (
        "mutation($version:ID!){terraformProviderVersionDelete(version: $version){id,createdAt,description,number,platforms{architecture,os},protocolVersions,status,updatedAt}}",
        r#"{"version":"v"}"#,
    ),
    (
        "mutation($archive:String!$version:ID!){terraformProviderVersionUploadDocs(version: $version, archive: $archive){id,createdAt,description,number,platforms{architecture,os},protocolVersions,status,updatedAt}}",
        r#"{"archive":"YQ==","version":"v"}"#,
    ),
];
