# What the module plans, with a provider that is played: `terraform test` (scripts/try-terraform).

mock_provider "azurerm" {}

variables {
  name                 = "quay"
  key_vault_id         = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v"
  key_vault_uri        = "https://v.vault.azure.net"
  token_secret         = "gantry-pool#TOKEN"
  key_secret           = "gantry-key"
  resource_group_name  = "g"
  location             = "westeurope"
  subnet_id            = "/subscriptions/s/subnets/one"
  admin_ssh_public_key = "ssh-ed25519 AAAA"
  settings             = { GANTRY_WORKER_TRUST_KEYS = "k" }
}

run "safe_by_default" {
  command = apply

  assert {
    condition = toset([for grant in azurerm_role_assignment.secret : grant.scope]) == toset([
      "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v/secrets/gantry-pool",
      "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v/secrets/gantry-key",
    ])
    error_message = "the identity reads two secrets, not the vault"
  }
  assert {
    condition     = alltrue([for one in azurerm_linux_virtual_machine_scale_set.launchers.termination_notification : one.timeout == "PT15M"])
    error_message = "the longest notice is asked for"
  }
  assert {
    condition     = azurerm_network_security_rule.nothing_dials_in.access == "Deny" && azurerm_network_security_rule.nothing_dials_in.source_address_prefix == "*"
    error_message = "nothing dials in"
  }
  assert {
    condition     = base64decode(azurerm_linux_virtual_machine_scale_set.launchers.custom_data) == output.user_data && strcontains(output.user_data, "GANTRY_KEY_VAULT='https://v.vault.azure.net'")
    error_message = "the machines get the user data"
  }
}

run "no_token_instead_of_its_name" {
  command = plan
  variables {
    token_secret = "eyJicm9rZXIiOiJ4In0="
  }
  expect_failures = [var.token_secret]
}
