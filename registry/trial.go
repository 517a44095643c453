package registry

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"pitboss/models/onnxruntime"
)

// triedDir, in the store, has a note for each bundle whose graph came through a trial. No bundle can bring one along: what
// comes with a bundle is kept in a directory of its own, and only files that its manifest gives a part.
const triedDir = "tried"

// tryOnce has a bundle's graph tried once for each version of the library, where there is a store to note it in.
func tryOnce(store string, bundle [32]byte, cfg onnxruntime.Config) onnxruntime.Config {
	try := cfg.Try
	if store == "" || try == nil {
		return cfg
	}
	name := hex.EncodeToString(bundle[:])
	cfg.Try = func(c onnxruntime.Candidate) error {
		want := fmt.Sprintf("%x by ONNX Runtime %s\n", c.Hash, c.Version)
		if got, err := os.ReadFile(filepath.Join(store, triedDir, name)); err == nil && string(got) == want {
			return nil
		}
		if err := try(c); err != nil {
			return err
		}
		// Without its note the graph is tried again at the next start, and nothing else is lost.
		_ = writeNote(store, triedDir, name, want)
		return nil
	}
	return cfg
}

// writeNote writes what the store knows of a bundle into one of its directories of notes, whole or not at all.
func writeNote(store, kind, name, text string) error {
	dir := filepath.Join(store, kind)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("cannot make a directory: %w", err)
	}
	tmp := filepath.Join(store, newPrefix+kind+"-"+name)
	if err := writeFile(tmp, []byte(text)); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("cannot move a note into its place: %w", err)
	}
	return syncDir(dir)
}
