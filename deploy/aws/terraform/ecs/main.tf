# Launchers on ECS with the EC2 launch type: one on each host of a group of their own.
# A launcher makes containers beside itself, by the host's Docker: it is as good as root there. Give it hosts for itself.

data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  data_dir = "/var/lib/gantry-launcher"
  tags     = merge({ Name = var.name }, var.tags)
  proxy = var.http_proxy == "" ? {} : {
    GANTRY_RUN_PROXY = "inherit"
    HTTP_PROXY       = var.http_proxy
    HTTPS_PROXY      = var.http_proxy
    NO_PROXY         = join(",", compact(["127.0.0.1,localhost,169.254.169.254,169.254.170.2", var.no_proxy]))
  }
  # Runs are kept from the metadata address by the host's own rule below, for every container of it.
  environment = merge({
    GANTRY_DATA_DIR      = local.data_dir
    GANTRY_HEALTH_LISTEN = "127.0.0.1:9464"
    AWS_REGION           = data.aws_region.current.id
  }, local.proxy, var.custom_ca_certificates == "" ? {} : { ADDITIONAL_ROOT_CAS = var.custom_ca_certificates }, var.settings)
  secrets = { SPACELIFT_TOKEN = var.token_secret, SPACELIFT_POOL_PRIVATE_KEY = var.key_secret }
  # ECS writes a member of a JSON secret as ARN:MEMBER::.
  value_from = { for name, secret in local.secrets : name =>
    length(split("#", secret)) == 1 ? secret : "${split("#", secret)[0]}:${split("#", secret)[1]}::"
  }
  policy = {
    secret_arns     = []
    kms_key_arns    = []
    group_arns      = []
    repository_arns = []
    log_group_arns  = []
    release_arns    = []
  }
}

# --- the task ------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_log_group" "launchers" {
  name              = "/gantry/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_ecs_task_definition" "launcher" {
  family       = var.name
  network_mode = "host"
  # pid_mode stays the container's own: runs are found by Docker, not by process.
  requires_compatibilities = ["EC2"]
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn
  tags                     = local.tags

  container_definitions = jsonencode([{
    name              = "launcher"
    image             = var.image
    essential         = true
    memoryReservation = var.launcher_memory_mb
    # Directories of runs belong to another user than the launcher, and Docker's socket is root's.
    user                   = "0"
    readonlyRootFilesystem = true
    stopTimeout            = var.stop_timeout_seconds
    environment            = [for name in sort(keys(local.environment)) : { name = name, value = local.environment[name] }]
    secrets                = [for name in sort(keys(local.value_from)) : { name = name, valueFrom = local.value_from[name] }]
    linuxParameters = {
      initProcessEnabled = true
      capabilities = {
        drop = ["ALL"]
        # The last two for iptables: the network is the host's, and runs are kept apart there.
        add = ["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "NET_ADMIN", "NET_RAW"]
      }
      tmpfs = [{ containerPath = "/tmp", size = 256, mountOptions = ["nosuid", "nodev"] }]
    }
    dockerSecurityOptions = ["no-new-privileges"]
    mountPoints = [
      { sourceVolume = "docker", containerPath = "/var/run/docker.sock", readOnly = false },
      { sourceVolume = "data", containerPath = local.data_dir, readOnly = false },
    ]
    healthCheck = {
      command     = ["CMD", "/usr/bin/gantry-launcher", "health"]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 120
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.launchers.name
        awslogs-region        = data.aws_region.current.id
        awslogs-stream-prefix = "launcher"
        mode                  = "non-blocking"
      }
    }
  }])

  volume {
    name      = "docker"
    host_path = "/var/run/docker.sock"
  }

  # The same path inside and outside: run containers mount directories of it by the host's name.
  volume {
    name      = "data"
    host_path = local.data_dir
  }
}

resource "aws_ecs_service" "launchers" {
  name            = var.name
  cluster         = var.cluster_name
  task_definition = aws_ecs_task_definition.launcher.arn
  desired_count   = var.launchers
  # One data directory, one launcher: the old one is gone before the new one starts.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  propagate_tags                     = "SERVICE"
  tags                               = local.tags

  capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.hosts.name
    weight            = 1
  }

  placement_constraints {
    type = "distinctInstance"
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [
    aws_iam_role_policy.execution, aws_iam_role_policy.task, aws_ecs_cluster_capacity_providers.cluster,
  ]
}

# --- who the task is -----------------------------------------------------------------------------------------

locals {
  of_tasks = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ecs-tasks.amazonaws.com" } }]
  })
}

# The launcher: it pulls the images of runs, and nothing else.
resource "aws_iam_role" "task" {
  name_prefix        = "${substr(var.name, 0, 32)}-task-"
  assume_role_policy = local.of_tasks
  tags               = local.tags
}

resource "aws_iam_role_policy" "task" {
  count  = length(var.ecr_repository_arns) > 0 ? 1 : 0
  name   = "launcher"
  role   = aws_iam_role.task.id
  policy = templatefile("${path.module}/../../instance-policy.json.tftpl", merge(local.policy, { repository_arns = var.ecr_repository_arns }))
}

# The ECS agent on behalf of the task: it reads the two secrets, writes the log, and pulls the launcher's image.
resource "aws_iam_role" "execution" {
  name_prefix        = "${substr(var.name, 0, 32)}-exec-"
  assume_role_policy = local.of_tasks
  tags               = local.tags
}

resource "aws_iam_role_policy" "execution" {
  name = "execution"
  role = aws_iam_role.execution.id
  policy = replace(templatefile("${path.module}/../../instance-policy.json.tftpl", merge(local.policy, {
    secret_arns    = distinct([for secret in values(local.secrets) : split("#", secret)[0]])
    kms_key_arns   = var.kms_key_arns
    log_group_arns = [aws_cloudwatch_log_group.launchers.arn]
  })), "\"ssm:GetParameter\"", "\"ssm:GetParameters\"")
}

resource "aws_iam_role_policy_attachment" "execution_pull" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
}
