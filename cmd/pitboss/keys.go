package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"pitboss/features/edge"
	"pitboss/server"
)

func newKeysCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make the secrets that a server needs",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newKeysNewCmd(), newKeysAPICmd())
	return cmd
}

func newKeysNewCmd() *cobra.Command {
	var tenants []string
	var aliasFile, masterFile string
	cmd := &cobra.Command{
		Use:   "new --tenant NAME [--tenant NAME ...]",
		Short: "Make the master key and the tenants' alias keys, each into a new file",
		Long: `Makes two files, readable by their owner alone; neither is ever overwritten.

  master key    wraps the keys that seal the journal (master_key_file). Without it nothing in data_dir can be read.
  alias keys    turn raw identifiers into pseudonyms (edge.keys_file). Without them no player is found again.

Keep a copy of both where the data's copies are not.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(tenants) == 0 {
				return &codedError{exitUsage, errors.New("name at least one tenant: --tenant NAME")}
			}
			if err := writeMasterKey(masterFile); err != nil {
				return err
			}
			if err := edge.WriteKeys(aliasFile, tenants...); err != nil {
				// Nothing was sealed with the master key yet. Left behind, it would be in the way of the next attempt.
				return errors.Join(err, os.Remove(masterFile))
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "wrote %s (master_key_file) and %s (edge.keys_file)\n", masterFile, aliasFile)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&tenants, "tenant", nil, "tenant that gets an alias key; may be given again")
	cmd.Flags().StringVar(&aliasFile, "alias-keys", "pitboss-alias-keys.yaml", "file of the alias keys")
	cmd.Flags().StringVar(&masterFile, "master-key", "pitboss-master.key", "file of the master key")
	return cmd
}

const masterKeyBytes = 32

// writeMasterKey makes a new master key file and never overwrites one.
func writeMasterKey(path string) (err error) {
	key := make([]byte, masterKeyBytes)
	if _, err = rand.Read(key); err != nil {
		return fmt.Errorf("cannot make a key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot make the master key file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := fmt.Fprintln(f, hex.EncodeToString(key)); err != nil {
		return fmt.Errorf("cannot write the master key file: %w", err)
	}
	return f.Sync()
}

// readMasterKey reads what writeMasterKey wrote.
func readMasterKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the master key: %w; make one with `pitboss keys new`, or restore it: nothing in data_dir can be read under another", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("master key file %q can be read by everyone (mode %v); do: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the master key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(key) != masterKeyBytes {
		return nil, fmt.Errorf("master key file %q must hold %d hex digits and nothing else", path, 2*masterKeyBytes)
	}
	return key, nil
}

func newKeysAPICmd() *cobra.Command {
	var id, tenant, name string
	var roles []string
	cmd := &cobra.Command{
		Use:   "api --tenant NAME --id ID --name TEXT [--role engine]",
		Short: "Make an API key: the key, to be shown once, and its entry for the configuration",
		Example: `  pitboss keys api --tenant acme --id eu1 --name engine-eu-1 --role engine
  pitboss keys api --tenant acme --id mon --name prometheus --role operator`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, entry, err := server.NewKey(id, tenant, name, roles...)
			if err != nil {
				return &codedError{exitUsage, err}
			}
			data, err := yaml.Marshal([]server.KeyConfig{entry})
			if err != nil {
				return fmt.Errorf("cannot write the entry: %w", err)
			}
			// Indented so that it can stand under server.keys as it is.
			indented := "    " + strings.ReplaceAll(strings.TrimSpace(string(data)), "\n", "\n    ")
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "key, shown this once; hand it to the caller:\n%s\n\nentry for server.keys, which holds no secret:\n%s\n", text, indented)
			return err
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "public part of the key, [a-z0-9]{1,16}")
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant that the key acts for")
	cmd.Flags().StringVar(&name, "name", "", "who calls, for logs")
	cmd.Flags().StringArrayVar(&roles, "role", []string{"engine"}, "engine, producer, analyst, operator or admin; may be given again")
	return cmd
}
