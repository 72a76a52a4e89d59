package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// completionTimeout is how long a shell may hang on a Tab.
const completionTimeout = time.Second

type completion = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// completeNames offers the names of a kind's documents as the first argument.
func (c *cli) completeNames(kind string) completion {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.names(cmd.Context(), kind, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeKindName offers kinds, then the names of the kind chosen.
func (c *cli) completeKindName(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return kindNames(begun), cobra.ShellCompDirectiveNoFileComp
	case 1:
		if kind, err := resource.LookupKind(args[0]); err == nil {
			return c.names(cmd.Context(), kind.Name, begun), cobra.ShellCompDirectiveNoFileComp
		}
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeRollouts offers sets and rollouts.
func (c *cli) completeRollouts(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := c.names(cmd.Context(), resource.KindScaleSet, begun)
	return append(names, c.names(cmd.Context(), resource.KindRollout, begun)...), cobra.ShellCompDirectiveNoFileComp
}

func kindNames(begun string) []string {
	var names []string
	for _, k := range resource.Kinds {
		if strings.HasPrefix(k.Plural, strings.ToLower(begun)) {
			names = append(names, k.Plural)
		}
	}
	return names
}

// names asks the server; whatever goes wrong, there is nothing to offer.
func (c *cli) names(ctx context.Context, kind, begun string) []string {
	cl, err := c.clientWith(client.Options{ConnectTimeout: 100 * time.Millisecond})
	if err != nil {
		return nil
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	list, err := cl.List(ctx, kind, client.Filter{})
	if err != nil {
		return nil
	}
	var names []string
	for _, d := range list.Items {
		if strings.HasPrefix(d.Name, begun) {
			names = append(names, d.Name)
		}
	}
	return names
}
