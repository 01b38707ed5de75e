# Launchers on Azure: a scale set whose machines read the pool's secrets from a Key Vault by an identity of their own,
# and finish their runs before they go, as far as Azure waits.

locals {
  secret_names = { for setting, secret in { token = var.token_secret, key = var.key_secret } : setting => split("#", secret)[0] }
  debian       = var.architecture == "arm64" ? "12-arm64" : "12-gen2"
}

module "user_data" {
  source = "../../terraform/user-data"

  cloud                  = "azure"
  token_secret           = var.token_secret
  key_secret             = var.key_secret
  settings               = var.settings
  release                = var.release
  http_proxy             = var.http_proxy
  no_proxy               = var.no_proxy
  custom_ca_certificates = var.custom_ca_certificates
  extra = {
    GANTRY_KEY_VAULT          = var.key_vault_uri
    GANTRY_IDENTITY_CLIENT_ID = azurerm_user_assigned_identity.launcher.client_id
  }
}

resource "azurerm_user_assigned_identity" "launcher" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

# Two secrets, not the vault.
resource "azurerm_role_assignment" "secret" {
  for_each             = toset(distinct(values(local.secret_names)))
  scope                = "${var.key_vault_id}/secrets/${each.value}"
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.launcher.principal_id
}

resource "azurerm_network_security_group" "launcher" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

# Without it the rest of the virtual network may dial in.
resource "azurerm_network_security_rule" "nothing_dials_in" {
  name                        = "nothing-dials-in"
  resource_group_name         = var.resource_group_name
  network_security_group_name = azurerm_network_security_group.launcher.name
  priority                    = 4096
  direction                   = "Inbound"
  access                      = "Deny"
  protocol                    = "*"
  source_port_range           = "*"
  destination_port_range      = "*"
  source_address_prefix       = "*"
  destination_address_prefix  = "*"
}

resource "azurerm_linux_virtual_machine_scale_set" "launchers" {
  name                            = var.name
  resource_group_name             = var.resource_group_name
  location                        = var.location
  sku                             = var.machine_size
  instances                       = var.launchers
  overprovision                   = false
  admin_username                  = "operator"
  disable_password_authentication = true
  custom_data                     = base64encode(module.user_data.script)
  source_image_id                 = var.image_id == "" ? null : var.image_id
  encryption_at_host_enabled      = var.encryption_at_host
  priority                        = var.spot ? "Spot" : "Regular"
  eviction_policy                 = var.spot ? "Delete" : null
  # A new model is for new machines; those that work are replaced when somebody drains them (docs/deploy/AZURE.md).
  upgrade_mode = "Manual"
  tags         = var.tags

  admin_ssh_key {
    username   = "operator"
    public_key = var.admin_ssh_public_key
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.launcher.id]
  }

  dynamic "source_image_reference" {
    for_each = var.image_id == "" ? [local.debian] : []
    content {
      publisher = "Debian"
      offer     = "debian-12"
      sku       = source_image_reference.value
      version   = "latest"
    }
  }

  os_disk {
    caching              = "ReadWrite"
    storage_account_type = "Premium_LRS"
    disk_size_gb         = var.disk_gb
  }

  network_interface {
    name                      = "launcher"
    primary                   = true
    network_security_group_id = azurerm_network_security_group.launcher.id
    ip_configuration {
      name      = "launcher"
      primary   = true
      subnet_id = var.subnet_id
    }
  }

  # What Azure allows at most; the machine answers as soon as it is idle.
  termination_notification {
    enabled = true
    timeout = "PT15M"
  }

  # A machine without a launcher, or with one that hangs, is replaced.
  extension {
    name                       = "health"
    publisher                  = "Microsoft.ManagedServices"
    type                       = "ApplicationHealthLinux"
    type_handler_version       = "1.0"
    auto_upgrade_minor_version = true
    settings = jsonencode({
      protocol    = "http"
      port        = 9464
      requestPath = "/healthz"
    })
  }

  automatic_instance_repair {
    enabled      = true
    grace_period = "PT30M"
  }

  lifecycle {
    ignore_changes = [instances]
  }

  depends_on = [azurerm_role_assignment.secret, azurerm_network_security_rule.nothing_dials_in]
}
