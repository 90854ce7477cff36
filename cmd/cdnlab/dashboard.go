package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) dashboardCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dashboard",
		Short: "Print the address of the running lab's dashboard",
		Long: `Print the address of the dashboard with the lab's token in it, which lets the page break and mend things. Without the token, as
http://127.0.0.1:7070/, the page shows everything and asks for the token before it changes anything.`,
		Args: argsAsUsed,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			token, err := c.state.Token(c.dir)
			if err != nil {
				return fmt.Errorf("read the lab's token: %w", err)
			}
			fmt.Fprintf(a.stdout, "%s/#token=%s\n", c.state.Admin, token)
			return nil
		},
	}
}
