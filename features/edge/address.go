package edge

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// AddressConfig says where the class, country and network of an address come from.
type AddressConfig struct {
	// Lists give address classes. Default: the built-in lists of VPN and data-centre networks and of hosting ASNs. Name
	// your own to use fresher ones: the built-in ones age with the build.
	Lists []AddressList `yaml:"lists"`
	// CountryDB is a file in MaxMind's DB format with country.iso_code, such as GeoLite2-Country.mmdb. Default: none, and
	// no country is derived.
	CountryDB string `yaml:"country_db"`
	// ASNDB is a file in MaxMind's DB format with autonomous_system_number, such as GeoLite2-ASN.mmdb. Default: none, and
	// no asn is derived.
	ASNDB string `yaml:"asn_db"`
	// Currencies says which currencies are legal tender where, for the flags of countries: a .csv with one header line, a
	// country's code and its currencies' codes, with spaces between. Default: builtin:country-currency (CLDR, of the day that
	// its first line says).
	Currencies string `yaml:"currencies"`
}

// AddressList is one list of networks or ASNs that share a class.
type AddressList struct {
	// Name is how versions name the list: [A-Za-z0-9._-]{1,32}.
	Name string `yaml:"name"`
	// Class is what a hit means: datacenter, vpn, tor, mobile or eyeball. An address in lists of several classes has the
	// first of tor, vpn, datacenter, mobile, eyeball.
	Class string `yaml:"class"`
	// Path is the file: networks one a line (plain or .gz), or for ASNs a .csv with the number first and one header line.
	// builtin:NAME is a list of this build: vpn-ipv4, datacenter-ipv4 (X4BNet, MIT), bad-asn (MIT).
	Path string `yaml:"path"`
}

// unknownClass is the class of an address that no list has.
const unknownClass = "unknown"

// classes gives the address classes, the strongest first.
func classes() []string { return []string{"tor", "vpn", "datacenter", "mobile", "eyeball"} }

func defaultAddressLists() []AddressList {
	return []AddressList{
		{Name: "vpn-ipv4", Class: "vpn", Path: "builtin:vpn-ipv4"},
		{Name: "datacenter-ipv4", Class: "datacenter", Path: "builtin:datacenter-ipv4"},
		{Name: "bad-asn", Class: "datacenter", Path: "builtin:bad-asn"},
	}
}

// addressBook answers what is known of an address.
type addressBook struct {
	// lists are in the order of classes.
	lists   []addressList
	country *geoDB
	asn     *geoDB
	tender  *tender
	version string
}

type addressList struct {
	class    string
	networks *ranges
	asns     map[uint32]struct{}
}

// place is what is known of an address; zero values are unknown.
type place struct {
	country string
	asn     uint32
}

// openAddressBook loads the lists and databases. dir is where relative paths start.
func openAddressBook(cfg AddressConfig, dir string) (*addressBook, error) {
	book := &addressBook{}
	var versions []string
	for _, class := range classes() {
		for _, l := range cfg.Lists {
			if l.Class != class {
				continue
			}
			loaded, version, err := loadAddressList(l, dir)
			if err != nil {
				return nil, err
			}
			book.lists = append(book.lists, loaded)
			versions = append(versions, version)
		}
	}
	if len(book.lists) != len(cfg.Lists) {
		return nil, fmt.Errorf("address lists: each class must be one of %s", strings.Join(classes(), ", "))
	}
	for _, db := range []struct {
		path string
		to   **geoDB
	}{{cfg.CountryDB, &book.country}, {cfg.ASNDB, &book.asn}} {
		if db.path == "" {
			continue
		}
		opened, err := openGeoDB(inDir(dir, db.path))
		if err != nil {
			return nil, err
		}
		*db.to = opened
		versions = append(versions, opened.version)
	}
	var version string
	var err error
	if book.tender, version, err = openTender(cfg.Currencies, dir); err != nil {
		return nil, err
	}
	book.version = strings.Join(append(versions, version), "+")
	return book, nil
}

func loadAddressList(l AddressList, dir string) (addressList, string, error) {
	loaded := addressList{class: l.Class}
	if !versionName.MatchString(l.Name) {
		return loaded, "", fmt.Errorf("address list %q: the name must match %s", l.Name, versionName)
	}
	in, hash, err := openList(l.Path, dir)
	if err != nil {
		return loaded, "", fmt.Errorf("address list %q: %w", l.Name, err)
	}
	if strings.HasSuffix(listFile(l.Path), ".csv") {
		loaded.asns, err = parseASNs(in, l.Path)
	} else {
		loaded.networks, _, err = parseRanges(in, l.Path)
	}
	if err != nil {
		return loaded, "", fmt.Errorf("address list %q: %w", l.Name, err)
	}
	return loaded, l.Name + "." + hash, nil
}

// parseASNs reads a .csv with one header line and the number in the first column.
func parseASNs(in io.Reader, file string) (map[uint32]struct{}, error) {
	r := csv.NewReader(in)
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	r.LazyQuotes = true
	asns := map[uint32]struct{}{}
	for n := 0; ; n++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return asns, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read list %q: %w", file, err)
		}
		if n == 0 {
			continue
		}
		asn, ok := parseASN(strings.TrimSpace(row[0]))
		if !ok {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("list %q, line %d: not an AS number", file, line)
		}
		asns[asn] = struct{}{}
	}
}

// parseASN reads 64500 or AS64500.
func parseASN(s string) (uint32, bool) {
	if len(s) > 2 && (s[0] == 'A' || s[0] == 'a') && (s[1] == 'S' || s[1] == 's') {
		s = s[2:]
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || s[0] == '+' {
		return 0, false
	}
	return uint32(n), true
}

// place looks the address up in the databases.
func (b *addressBook) place(a netip.Addr) place {
	var p place
	if b.country != nil {
		p.country = b.country.countryOf(a)
	}
	if b.asn != nil {
		p.asn = b.asn.asnOf(a)
	}
	return p
}

// class gives the address class by lists of networks and, where asn is known, of ASNs.
func (b *addressBook) class(a netip.Addr, asn uint32) string {
	for i := range b.lists {
		l := &b.lists[i]
		if l.networks != nil && a.IsValid() && l.networks.contains(a) {
			return l.class
		}
		if l.hasASN(asn) {
			return l.class
		}
	}
	return unknownClass
}

// asnClass gives the class by lists of ASNs alone.
func (b *addressBook) asnClass(asn uint32) string {
	for i := range b.lists {
		if b.lists[i].hasASN(asn) {
			return b.lists[i].class
		}
	}
	return unknownClass
}

func (l *addressList) hasASN(asn uint32) bool {
	_, ok := l.asns[asn]
	return ok && asn != 0
}
