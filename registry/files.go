package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// maxManifestBytes bounds bundle.yaml.
const maxManifestBytes = 256 << 10

// maxEntries bounds how much of a directory's listing is read: a bundle has at most nine files.
const maxEntries = 64

// contents are a bundle's files as they were read, once: what is hashed is what is parsed and stored, whatever happens
// to the directory meanwhile.
type contents struct {
	manifest *manifest
	hash     [32]byte          // of bundle.yaml
	files    map[string][]byte // by name, bundle.yaml too
}

// readBundle reads and checks every file of a bundle's directory against its manifest: the same names, each a plain
// file, of the size and hash that the manifest says.
func readBundle(dir string, modelLimit int64) (_ *contents, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open its directory: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	listed, err := listFiles(root)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(listed, ManifestName) {
		return nil, fmt.Errorf("there is no %s in it", ManifestName)
	}
	c := &contents{files: map[string][]byte{}}
	data, err := readFile(root, ManifestName, maxManifestBytes)
	if err != nil {
		return nil, err
	}
	c.files[ManifestName], c.hash = data, sha256.Sum256(data)
	if c.manifest, err = parseManifest(data, modelLimit); err != nil {
		return nil, err
	}
	err = c.compareNames(listed)
	if err != nil {
		return nil, err
	}
	for _, f := range c.manifest.Files {
		if c.files[f.Name], err = readListed(root, f); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// compareNames refuses files that the manifest does not name, and named ones that are absent.
func (c *contents) compareNames(listed []string) error {
	named := []string{ManifestName}
	for _, f := range c.manifest.Files {
		named = append(named, f.Name)
	}
	for _, name := range listed {
		if !slices.Contains(named, name) {
			return fmt.Errorf("%s does not name the file %q: take it away, or list it", ManifestName, name)
		}
	}
	for _, name := range named {
		if !slices.Contains(listed, name) {
			return fmt.Errorf("%s names %q, which is not there", ManifestName, name)
		}
	}
	return nil
}

// listFiles gives the names in the directory, all of which must be plain files.
func listFiles(root *os.Root) ([]string, error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("cannot list its directory: %w", err)
	}
	entries, err := d.ReadDir(maxEntries)
	err = errors.Join(ignoreEOF(err), d.Close())
	if err != nil {
		return nil, fmt.Errorf("cannot list its directory: %w", err)
	}
	if len(entries) == maxEntries {
		return nil, fmt.Errorf("it has %d entries or more; a bundle has at most nine files", maxEntries)
	}
	var names []string
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return nil, fmt.Errorf("%q is not a plain file (%s)", e.Name(), kindOf(e.Type()))
		}
		names = append(names, e.Name())
	}
	return names, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return m.String()
}

func readListed(root *os.Root, f manifestFile) ([]byte, error) {
	const changed = "it changed since the bundle was built: take it from where it was built"
	if info, err := root.Stat(f.Name); err == nil && info.Mode().IsRegular() && info.Size() != f.Size {
		return nil, fmt.Errorf("%q has %d bytes; %s says %d: %s", f.Name, info.Size(), ManifestName, f.Size, changed)
	}
	data, err := readFile(root, f.Name, f.Size)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != f.Size {
		return nil, fmt.Errorf("%q has %d bytes; %s says %d: %s", f.Name, len(data), ManifestName, f.Size, changed)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, fmt.Errorf("%q has the SHA-256 %x; %s says %s: %s", f.Name, sum, ManifestName, f.SHA256, changed)
	}
	return data, nil
}

// readFile reads at most limit bytes and fails on one more. The size that the file system gives only spares growing.
func readFile(root *os.Root, name string, limit int64) (_ []byte, err error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a plain file (%s)", name, kindOf(info.Mode().Type()))
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%q has %d bytes; at most %d", name, info.Size(), limit)
	}
	b := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	if n, err := io.Copy(b, io.LimitReader(f, limit+1)); err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", name, err)
	} else if n > limit {
		return nil, fmt.Errorf("%q has more than %d bytes", name, limit)
	}
	return b.Bytes(), nil
}

// writeTo writes the files into a new directory and fsyncs them; the caller moves it into its place.
func (c *contents) writeTo(dir string) error {
	for name, data := range c.files {
		if err := writeFile(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func writeFile(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot make a file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return nil
}

func syncDir(path string) (err error) {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot open a directory: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot write a directory: %w", err)
	}
	return nil
}
