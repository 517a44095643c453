// Command pitboss is the anti-fraud scoring server: one binary for the server, its tools and its demo.
//
// It wires the packages together and holds no logic of its own: one file per subcommand, the configuration in config.go
// and the order of starting and stopping in app.go. Start reading at main, then newRoot.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // maps name time zones, and a machine may have no zone files

	"github.com/spf13/cobra"
)

func main() {
	// The second signal kills: somebody who presses Ctrl-C twice means it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes, so that scripts can tell them apart.
const (
	exitOK       = 0
	exitFailed   = 1 // it did not work
	exitUsage    = 2 // the words were wrong
	exitRejected = 3 // it worked, and some of the input was refused
)

// codedError carries an exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "pitboss: %v\n", err)
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.code
	}
	return exitFailed
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "pitboss",
		Short: "Real-time anti-fraud decisions for casino and game engines",
		Long: `pitboss keeps windowed features about every player, device, address and instrument, scores each event with a
gradient-boosted model, says exactly why, and keeps a record from which every decision can be made again.

New here? Run:  pitboss demo`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &codedError{exitUsage, fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newDemoCmd(), newServeCmd(), newDecideCmd(), newBatchCmd(), newIngestCmd(), newReplayCmd(), newBenchCmd(), newSimCmd(), newCheckCmd(), newModelCmd(), newFeaturesCmd(), newEventsCmd(), newKeysCmd(), newVersionCmd(), newTryGraphCmd(),
	)
	wordsAreChecked(root)
	return root
}

// wordsAreChecked gives wrong words the exit code for them, in every command, and groups of commands an answer to them.
func wordsAreChecked(cmd *cobra.Command) {
	if !cmd.Runnable() {
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &codedError{exitUsage, fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
		}
		return nil
	}
	for _, sub := range cmd.Commands() {
		wordsAreChecked(sub)
	}
}
