# What the module plans, with a provider that is played: `terraform test` (scripts/try-terraform).

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-west-1" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/gantry/quay" }
  }
}

variables {
  name         = "quay"
  cluster_name = "dock"
  image        = "registry.example.com/gantry-launcher@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  token_secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gantry/pool-AbCdEf#TOKEN"
  key_secret   = "arn:aws:ssm:eu-west-1:123456789012:parameter/gantry/pool.key"
  vpc_id       = "vpc-1"
  subnet_ids   = ["subnet-1"]
  settings     = { GANTRY_WORKER_TRUST_KEYS = "k" }
}

run "the_task" {
  command = apply

  assert {
    condition = jsondecode(aws_ecs_task_definition.launcher.container_definitions)[0].secrets == [
      { name = "SPACELIFT_POOL_PRIVATE_KEY", valueFrom = "arn:aws:ssm:eu-west-1:123456789012:parameter/gantry/pool.key" },
      { name = "SPACELIFT_TOKEN", valueFrom = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gantry/pool-AbCdEf:TOKEN::" },
    ]
    error_message = "secrets are named, not written"
  }
  assert {
    condition = alltrue([for volume in aws_ecs_task_definition.launcher.volume : volume.host_path == one([
      for mount in jsondecode(aws_ecs_task_definition.launcher.container_definitions)[0].mountPoints : mount.containerPath
    if mount.sourceVolume == volume.name])])
    error_message = "every directory is at the same path inside and outside"
  }
  assert {
    condition = (jsondecode(aws_ecs_task_definition.launcher.container_definitions)[0].linuxParameters.initProcessEnabled
    && jsondecode(aws_ecs_task_definition.launcher.container_definitions)[0].stopTimeout == 5400)
    error_message = "the launcher is waited for"
  }
  assert {
    condition = flatten([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Action]) == [
    "ssm:GetParameters", "secretsmanager:GetSecretValue", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    error_message = "the execution role reads the two secrets and writes the log: ${aws_iam_role_policy.execution.policy}"
  }
  assert {
    condition     = length(aws_iam_role_policy.task) == 0
    error_message = "the task's role may nothing by itself"
  }
  assert {
    condition = alltrue([for options in aws_launch_template.host.metadata_options :
    options.http_tokens == "required" && options.http_put_response_hop_limit == 1])
    error_message = "hosts have to refuse version 1 of the metadata service"
  }
  assert {
    condition     = strcontains(base64decode(aws_launch_template.host.user_data), "ECS_CONTAINER_STOP_TIMEOUT=5400s")
    error_message = "the agent has to wait as long as the task says"
  }
}

run "an_image_by_tag_is_refused" {
  command = plan
  variables {
    image = "registry.example.com/gantry-launcher:latest"
  }
  expect_failures = [var.image]
}
