package edge

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// ranges is a set of addresses: sorted, disjoint ranges per family, free of pointers, found by binary search. IPv4
// addresses in IPv6 clothes are IPv4 here.
type ranges struct {
	v4 []range4
	v6 []range6
}

type range4 struct{ first, last uint32 }

type range6 struct{ first, last addr6 }

type addr6 struct{ hi, lo uint64 }

func (a addr6) compare(b addr6) int {
	return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo))
}

// contains says whether the set holds the address.
func (r *ranges) contains(a netip.Addr) bool {
	if a = a.Unmap(); a.Is4() {
		return contains4(r.v4, toUint32(a))
	}
	want := toAddr6(a)
	i, found := slices.BinarySearchFunc(r.v6, want, func(g range6, t addr6) int { return g.first.compare(t) })
	return found || i > 0 && want.compare(r.v6[i-1].last) <= 0
}

// contains4 is written out, as most addresses are IPv4: the generic search with its closure takes three times as long.
func contains4(v4 []range4, want uint32) bool {
	lo, hi := 0, len(v4)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if v4[mid].first <= want {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo > 0 && want <= v4[lo-1].last
}

func toUint32(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func toAddr6(a netip.Addr) addr6 {
	b := a.As16()
	return addr6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// add puts a network into the set; finish must follow before contains.
func (r *ranges) add(p netip.Prefix) {
	p = unmapPrefix(p).Masked()
	if p.Addr().Is4() {
		first := toUint32(p.Addr())
		r.v4 = append(r.v4, range4{first, first | uint32(1<<(32-p.Bits())-1)})
		return
	}
	first := toAddr6(p.Addr())
	last := first
	if p.Bits() <= 64 {
		last.hi |= 1<<(64-p.Bits()) - 1
		last.lo = ^uint64(0)
	} else {
		last.lo |= 1<<(128-p.Bits()) - 1
	}
	r.v6 = append(r.v6, range6{first, last})
}

// unmapPrefix turns ::ffff:a.b.c.d/n with n of 96 or more into a.b.c.d/(n-96).
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// finish sorts the ranges and joins those that overlap.
func (r *ranges) finish() {
	slices.SortFunc(r.v4, func(a, b range4) int { return cmp.Compare(a.first, b.first) })
	v4 := r.v4[:0]
	for _, g := range r.v4 {
		if n := len(v4); n > 0 && g.first <= v4[n-1].last {
			v4[n-1].last = max(v4[n-1].last, g.last)
			continue
		}
		v4 = append(v4, g)
	}
	slices.SortFunc(r.v6, func(a, b range6) int { return a.first.compare(b.first) })
	v6 := r.v6[:0]
	for _, g := range r.v6 {
		if n := len(v6); n > 0 && g.first.compare(v6[n-1].last) <= 0 {
			if g.last.compare(v6[n-1].last) > 0 {
				v6[n-1].last = g.last
			}
			continue
		}
		v6 = append(v6, g)
	}
	r.v4, r.v6 = slices.Clip(v4), slices.Clip(v6)
}

// parseRanges reads one network or address per line, with a comment after it or not.
func parseRanges(in io.Reader, file string) (*ranges, int, error) {
	r, entries := &ranges{}, 0
	err := eachLine(in, file, func(line string) error {
		text, _, _ := strings.Cut(line, "#")
		p, err := parsePrefix(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		entries++
		r.add(p)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	r.finish()
	return r, entries, nil
}

// errNotAddress does not quote the line: an address is personal, and this text goes to logs.
var errNotAddress = errors.New("neither an address nor a network")

// parsePrefix reads a network, or an address as the network of itself.
func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return netip.Prefix{}, errNotAddress
		}
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, errNotAddress
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// eachLine calls f with every line that is neither empty nor starts with #, and names the line in f's error.
func eachLine(in io.Reader, file string, f func(line string) error) error {
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("list %q, line %d: %w", file, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read list %q: %w", file, err)
	}
	return nil
}
