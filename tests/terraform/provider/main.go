// A provider that is nothing but its schema: enough for `terraform validate` and for `terraform test` with mocks.
//
// Takes the schema that schema.py wrote, from the file schema.json beside itself. Never: a request to any cloud.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type attribute struct {
	Type     json.RawMessage
	Required bool
	Optional bool
	Computed bool
}

type nested struct {
	Nesting string
	Min     int64
	Max     int64
	Block   block
}

type block struct {
	Attributes map[string]attribute
	Blocks     map[string]nested
}

type schemas struct {
	Provider  block
	Resources map[string]block
	Data      map[string]block
}

type provider struct {
	tfprotov5.ProviderServer
	known schemas
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(program), "schema.json"))
	if err != nil {
		return err
	}
	var known schemas
	if err := json.Unmarshal(text, &known); err != nil {
		return err
	}
	name := strings.SplitN(strings.TrimPrefix(filepath.Base(program), "terraform-provider-"), "_", 2)[0]
	server := func() tfprotov5.ProviderServer { return &provider{known: known} }
	return tf5server.Serve("registry.terraform.io/hashicorp/"+name, server)
}

func (p *provider) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	return &tfprotov5.GetProviderSchemaResponse{
		Provider:          &tfprotov5.Schema{Block: schemaOf(p.known.Provider)},
		ResourceSchemas:   all(p.known.Resources),
		DataSourceSchemas: all(p.known.Data),
	}, nil
}

func (p *provider) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	return nil, fmt.Errorf("only the schema is known")
}

func (p *provider) PrepareProviderConfig(_ context.Context, asked *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (p *provider) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (p *provider) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (p *provider) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func all(blocks map[string]block) map[string]*tfprotov5.Schema {
	found := map[string]*tfprotov5.Schema{}
	for name, one := range blocks {
		found[name] = &tfprotov5.Schema{Block: schemaOf(one)}
	}
	return found
}

func schemaOf(one block) *tfprotov5.SchemaBlock {
	made := &tfprotov5.SchemaBlock{}
	for name, a := range one.Attributes {
		made.Attributes = append(made.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: typeOf(a.Type), Required: a.Required, Optional: a.Optional, Computed: a.Computed,
		})
	}
	for name, n := range one.Blocks {
		nesting := tfprotov5.SchemaNestedBlockNestingModeList
		if n.Nesting == "set" {
			nesting = tfprotov5.SchemaNestedBlockNestingModeSet
		}
		made.BlockTypes = append(made.BlockTypes, &tfprotov5.SchemaNestedBlock{
			TypeName: name, Nesting: nesting, MinItems: n.Min, MaxItems: n.Max, Block: schemaOf(n.Block),
		})
	}
	return made
}

func typeOf(text json.RawMessage) tftypes.Type {
	var pair []string
	if json.Unmarshal(text, &pair) == nil && len(pair) == 2 {
		element := primitive(pair[1])
		switch pair[0] {
		case "list":
			return tftypes.List{ElementType: element}
		case "set":
			return tftypes.Set{ElementType: element}
		case "map":
			return tftypes.Map{ElementType: element}
		}
	}
	var name string
	if err := json.Unmarshal(text, &name); err != nil {
		panic(fmt.Sprintf("no type: %s", text))
	}
	return primitive(name)
}

func primitive(name string) tftypes.Type {
	switch name {
	case "string":
		return tftypes.String
	case "number":
		return tftypes.Number
	case "bool":
		return tftypes.Bool
	}
	return tftypes.DynamicPseudoType
}
