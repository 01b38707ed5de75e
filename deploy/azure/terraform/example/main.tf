# A pool's launchers in a subnet that is there. The two secrets are in a Key Vault that is there too:
#
#   az keyvault secret set --vault-name gantry --name token --file pool.token
#   az keyvault secret set --vault-name gantry --name key --file pool.key

terraform {
  required_version = ">= 1.5"
}

provider "azurerm" {
  features {}
  subscription_id = "00000000-0000-0000-0000-000000000000"
}

module "launchers" {
  source = "../"

  resource_group_name  = "gantry"
  location             = "westeurope"
  subnet_id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/inner/subnets/launchers"
  admin_ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJlcGxhY2UgdGhpcyBieSB5b3VyIG93bg operator"
  key_vault_id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/gantry/providers/Microsoft.KeyVault/vaults/gantry"
  key_vault_uri        = "https://gantry.vault.azure.net"
  token_secret         = "token"
  key_secret           = "key"
  image_id             = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/gantry/providers/Microsoft.Compute/images/gantry-launcher"
  settings = {
    GANTRY_WORKER_TRUST_KEYS = "the public key of the worker's release"
  }
}
