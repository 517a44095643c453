package edge

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// builtin are the lists that come with the build, with their licences.
//
//go:embed lists
var builtin embed.FS

// maxList bounds a list, packed and unpacked.
const maxList = 256 << 20

// inDir gives path as it is where it is absolute, else below dir.
func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// listFile gives the file name behind builtin:NAME, or the path itself.
func listFile(path string) string {
	switch path {
	case "builtin:vpn-ipv4":
		return "lists/vpn-ipv4.txt.gz"
	case "builtin:datacenter-ipv4":
		return "lists/datacenter-ipv4.txt.gz"
	case "builtin:bad-asn":
		return "lists/bad-asn.csv"
	case builtinCurrencies:
		return "lists/country-currency.csv"
	case builtinConfusables:
		return "lists/confusables.csv"
	}
	return path
}

// openList reads a list, unpacks it where it is packed, and gives the start of the SHA-256 of what it says.
func openList(path, dir string) (io.Reader, string, error) {
	data, err := readList(path, dir)
	if err != nil {
		return nil, "", err
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		if data, err = unpack(data); err != nil {
			return nil, "", fmt.Errorf("cannot unpack list %q: %w", path, err)
		}
	}
	sum := sha256.Sum256(data)
	return bytes.NewReader(data), hex.EncodeToString(sum[:4]), nil
}

func readList(path, dir string) ([]byte, error) {
	if strings.HasPrefix(path, "builtin:") {
		data, err := builtin.ReadFile(listFile(path))
		if err != nil {
			return nil, fmt.Errorf("no built-in list %q: vpn-ipv4, datacenter-ipv4, bad-asn and country-currency are there",
				strings.TrimPrefix(path, "builtin:"))
		}
		return data, nil
	}
	f, err := os.Open(inDir(dir, path))
	if err != nil {
		return nil, fmt.Errorf("cannot open list: %w", err)
	}
	defer func() { _ = f.Close() }() // read only: nothing is lost
	return readBounded(f)
}

func unpack(data []byte) ([]byte, error) {
	packed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not gzip: %w", err)
	}
	return readBounded(packed)
}

func readBounded(in io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxList+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read on: %w", err)
	}
	if len(data) > maxList {
		return nil, fmt.Errorf("larger than %d bytes", maxList)
	}
	return data, nil
}
