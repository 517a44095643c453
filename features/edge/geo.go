package edge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxGeoDB bounds a database file, which is held in memory: a file that is replaced under a mapping would end the
// process.
const maxGeoDB = 1 << 30

// geoDB is a database in MaxMind's DB format.
type geoDB struct {
	reader  *maxminddb.Reader
	version string
}

// openGeoDB reads a database into memory and verifies it, as a torn one could be found out in the middle of a decision.
func openGeoDB(path string) (*geoDB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open address database: %w", err)
	}
	if info.Size() > maxGeoDB {
		return nil, fmt.Errorf("cannot open address database %q: %d bytes, at most %d", path, info.Size(), maxGeoDB)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open address database: %w", err)
	}
	reader, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("cannot open address database %q: %w", path, err)
	}
	if err := reader.Verify(); err != nil {
		return nil, fmt.Errorf("address database %q is damaged: %w", path, err)
	}
	sum := sha256.Sum256(data)
	return &geoDB{reader: reader, version: cleanName(reader.Metadata.DatabaseType) + "." + hex.EncodeToString(sum[:4])}, nil
}

// countryOf gives the ISO 3166-1 code of the address's country, or of the country it is registered in; empty where
// there is none.
func (g *geoDB) countryOf(a netip.Addr) string {
	found := g.reader.Lookup(a)
	var code string
	if err := found.DecodePath(&code, "country", "iso_code"); err != nil || code == "" {
		if err := found.DecodePath(&code, "registered_country", "iso_code"); err != nil {
			return ""
		}
	}
	if !isCountry(code) {
		return ""
	}
	return code
}

// asnOf gives the address's AS number, 0 where there is none.
func (g *geoDB) asnOf(a netip.Addr) uint32 {
	var asn uint32
	if err := g.reader.Lookup(a).DecodePath(&asn, "autonomous_system_number"); err != nil {
		return 0
	}
	return asn
}

// cleanName makes text of a file fit into a version.
func cleanName(s string) string {
	out := make([]byte, 0, 32)
	for i := 0; i < len(s) && len(out) < 32; i++ {
		b := s[i]
		if b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.' {
			out = append(out, b)
		}
	}
	return string(out)
}
