package edge_test

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// writeMMDB writes a database in MaxMind's DB format 2.0 (https://maxmind.github.io/MaxMind-DB/) with 32-bit records:
// enough for tests to have one without shipping somebody's data.
func writeMMDB(tb testing.TB, dir, name, databaseType string, records map[string]any) string {
	tb.Helper()
	tree := &mmdbTree{nodes: [][2]uint32{{}}}
	var data []byte
	prefixes := make([]string, 0, len(records))
	for prefix := range records {
		prefixes = append(prefixes, prefix)
	}
	slices.Sort(prefixes)
	offsets := map[string]uint32{}
	for _, prefix := range prefixes {
		offsets[prefix] = uint32(len(data))
		data = appendMMDB(data, records[prefix])
	}
	for _, prefix := range prefixes {
		tree.insert(netip.MustParsePrefix(prefix), offsets[prefix])
	}
	var file []byte
	for _, node := range tree.nodes {
		for _, record := range node {
			file = binary.BigEndian.AppendUint32(file, tree.resolve(record))
		}
	}
	file = append(append(file, make([]byte, 16)...), data...)
	file = append(file, "\xab\xcd\xefMaxMind.com"...)
	file = appendMMDB(file, map[string]any{
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "build_epoch": uint64(1790000000),
		"database_type": databaseType, "description": map[string]any{"en": "made by a test"}, "ip_version": uint16(6),
		"languages": []any{"en"}, "node_count": uint32(len(tree.nodes)), "record_size": uint16(32),
	})
	if err := os.WriteFile(filepath.Join(dir, name), file, 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

// mmdbTree is the search tree while it grows: 0 is nothing, an even number above it 2*node, an odd one 2*offset+1.
type mmdbTree struct{ nodes [][2]uint32 }

func (m *mmdbTree) insert(p netip.Prefix, offset uint32) {
	bits, addr := p.Bits(), p.Addr().As16()
	if p.Addr().Is4() {
		// IPv4 lives at ::a.b.c.d.
		four := p.Addr().As4()
		addr = [16]byte{12: four[0], 13: four[1], 14: four[2], 15: four[3]}
		bits += 96
	}
	node := uint32(0)
	for i := range bits {
		side := addr[i/8] >> (7 - i%8) & 1
		if i == bits-1 {
			m.nodes[node][side] = 2*offset + 1
			return
		}
		if m.nodes[node][side] == 0 {
			m.nodes = append(m.nodes, [2]uint32{})
			m.nodes[node][side] = 2 * uint32(len(m.nodes)-1)
		}
		node = m.nodes[node][side] / 2
	}
}

func (m *mmdbTree) resolve(record uint32) uint32 {
	count := uint32(len(m.nodes))
	switch {
	case record == 0:
		return count
	case record%2 == 0:
		return record / 2
	}
	return count + 16 + record/2
}

// appendMMDB encodes a value of the few types that these databases have.
func appendMMDB(b []byte, v any) []byte {
	control := func(kind, size int) {
		if size >= 29 {
			panic("the test's writer knows short values only")
		}
		if kind > 7 {
			b = append(b, byte(size), byte(kind-7))
			return
		}
		b = append(b, byte(kind<<5|size))
	}
	switch v := v.(type) {
	case string:
		control(2, len(v))
		b = append(b, v...)
	case uint16:
		control(5, 2)
		b = binary.BigEndian.AppendUint16(b, v)
	case uint32:
		control(6, 4)
		b = binary.BigEndian.AppendUint32(b, v)
	case uint64:
		control(9, 8)
		b = binary.BigEndian.AppendUint64(b, v)
	case []any:
		control(11, len(v))
		for _, e := range v {
			b = appendMMDB(b, e)
		}
	case map[string]any:
		control(7, len(v))
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			b = appendMMDB(appendMMDB(b, k), v[k])
		}
	}
	return b
}
