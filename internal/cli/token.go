package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

func (c *cli) tokenCommand() *cobra.Command {
	return c.connects(c.formats(group("token", "Give others a way in, and take it away", `  drover token create ci --role Publisher --scope image/hello --scope scaleset/hello --expires 720h
  drover token list
  drover token revoke ci`,
		c.tokenCreateCommand(), c.tokenListCommand(), c.tokenRevokeCommand())))
}

func (c *cli) tokenCreateCommand() *cobra.Command {
	var r client.TokenRequest
	var role string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token and print it, this once",
		Long: `Make a token. It alone is printed on standard output, once: the server keeps only its
hash. Without a scope it reaches everything that its role may do. With -o json the result
is {"token":DOCUMENT,"secret":TEXT}.`,
		Example: `  drover token create ci --role Publisher --scope image/hello --scope scaleset/hello --expires 720h > ci.token`,
		Args:    cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) (err error) {
			r.Name = args[0]
			if r.Role, err = parseRole(role); err != nil {
				return err
			}
			return c.createToken(ctx, cl, r)
		}),
	}
	cmd.Flags().StringVar(&role, "role", "", "the `role` Reader, Publisher, Contributor or Owner (required)")
	cmd.Flags().StringArrayVar(&r.Scopes, "scope", nil, "image/`NAME` or scaleset/NAME, * at the end allowed (repeatable)")
	cmd.Flags().StringVar(&r.Expires, "expires", "", "`duration`, such as 720h, or time after which it is refused")
	// The flag was added above: these cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(roleNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func roleNames() []string {
	return []string{string(resource.RoleReader), string(resource.RolePublisher), string(resource.RoleContributor), string(resource.RoleOwner)}
}

func parseRole(s string) (resource.Role, error) {
	for _, name := range roleNames() {
		if strings.EqualFold(s, name) {
			return resource.Role(name), nil
		}
	}
	if s == "" {
		return "", usagef("--role is needed: %s", strings.Join(roleNames(), ", "))
	}
	return "", usagef("--role %q: want %s", s, strings.Join(roleNames(), ", "))
}

func (c *cli) createToken(ctx context.Context, cl *client.Client, r client.TokenRequest) error {
	made, err := cl.CreateToken(ctx, r)
	if err != nil {
		return err
	}
	t, err := resource.From[resource.TokenSpec, resource.TokenStatus](made.Token)
	if err != nil {
		return err
	}
	// Whatever else is to be said goes elsewhere: the output may be a file's whole content.
	if err := c.tell(made, "%s", made.Secret); err != nil {
		return fmt.Errorf("token %s was made, but could not be printed (revoke it: `drover token revoke %s`): %w", t.Name, t.Name, err)
	}
	until := "does not expire"
	if t.Spec.Expires != nil {
		until = "expires " + t.Spec.Expires.Local().Format(time.DateTime)
	}
	fmt.Fprintf(c.notes(), "Token %s (%s) %s. It is not shown again.\n", t.Name, t.Spec.Role, until)
	return nil
}

func (c *cli) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List tokens, without their secrets",
		Example: "  drover token list",
		RunE: c.run(func(ctx context.Context, cl *client.Client, _ []string) error {
			list, err := cl.List(ctx, resource.KindToken, client.Filter{})
			if err != nil {
				return err
			}
			return c.printList(resource.KindToken, list.Items)
		}),
	}
}

func (c *cli) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "revoke NAME",
		Short:             "Refuse a token from now on",
		Example:           "  drover token revoke ci",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeNames(resource.KindToken),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			if _, err := cl.Delete(ctx, resource.KindToken, args[0]); err != nil {
				return err
			}
			return c.tell(deletion{resource.KindToken, args[0], true}, "token/%s revoked", args[0])
		}),
	}
}
