package edge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"pitboss/plainyaml"
)

// RateTable is a pinned table of exchange rates to one base currency. A file is never changed once it was used: events
// name its version and hash.
type RateTable struct {
	// Version names the table: 2026-11-01.
	Version string
	// Base is the currency that amounts are turned into: EUR.
	Base string
	// Currencies are the rates by currency code.
	Currencies map[string]*Rate

	hash string
}

// Rate is the rate of one currency, exact: base_minor = amount_minor * num / den, rounded half to even. Both
// sides are minor units, so the exponents are in the rate: with 1 JPY = 0.0061 EUR, one JPY (exponent 0) is 61/100
// euro cents, num: 61, den: 100.
type Rate struct {
	// Exponent is the digits after the point, at most 18. Default: ISO 4217's; needed for a code that ISO 4217 does not
	// have.
	Exponent *uint32
	// Num is the numerator, 1 to 10^15.
	Num uint64
	// Den is the denominator, 1 to 10^15. Default 1.
	Den uint64
}

// rateFile is the file as it is written.
type rateFile struct {
	Version    string                   `yaml:"version"`
	Base       string                   `yaml:"base"`
	Currencies map[string]*rateFileLine `yaml:"currencies"`
}

type rateFileLine struct {
	Exponent *whole `yaml:"exponent"`
	Num      *whole `yaml:"num"`
	Den      *whole `yaml:"den"`
}

// whole is a number without a fraction: the parser would cut 0.5 to 0 and say nothing.
type whole uint64

// UnmarshalYAML reads decimal digits.
func (w *whole) UnmarshalYAML(text []byte) error {
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return fmt.Errorf("%s is no whole number", clip(strings.TrimSpace(string(text))))
	}
	*w = whole(n)
	return nil
}

const (
	maxRatePart = 1_000_000_000_000_000
	maxExponent = 18
)

var (
	currencyCode = regexp.MustCompile(`^[A-Z][A-Z0-9]{2,9}$`)
	versionName  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)
)

// ParseRates reads a rate table from YAML. name is the file that errors name. Unknown keys are errors.
func ParseRates(data []byte, name string) (*RateTable, error) {
	var file rateFile
	if err := plainyaml.Check(data); err != nil {
		return nil, fmt.Errorf("cannot parse rate table %q: %w", name, err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&file); err != nil {
		return nil, fmt.Errorf("cannot parse rate table %q: %w", name, err)
	}
	t := &RateTable{Version: file.Version, Base: file.Base, Currencies: map[string]*Rate{}}
	for code, line := range file.Currencies {
		rate, err := line.rate(code)
		if err != nil {
			return nil, fmt.Errorf("rate table %q: %w", name, err)
		}
		t.Currencies[code] = rate
	}
	if err := t.complete(); err != nil {
		return nil, fmt.Errorf("rate table %q: %w", name, err)
	}
	sum := sha256.Sum256(data)
	t.hash = hex.EncodeToString(sum[:4])
	return t, nil
}

// complete checks the table and fills what may be left out.
func (t *RateTable) complete() error {
	if !versionName.MatchString(t.Version) {
		return fmt.Errorf("version %q must match %s", t.Version, versionName)
	}
	if !currencyCode.MatchString(t.Base) {
		return fmt.Errorf("base %q must match %s", t.Base, currencyCode)
	}
	for code, c := range t.Currencies {
		if !currencyCode.MatchString(code) {
			return fmt.Errorf("currency %q must match %s", code, currencyCode)
		}
		if c == nil {
			return fmt.Errorf("currency %s has no rate", code)
		}
		if err := c.complete(code); err != nil {
			return err
		}
		if code == t.Base && c.Num != c.Den {
			return fmt.Errorf("currency %s is the base: its rate must be 1", code)
		}
	}
	return nil
}

// rate makes a Rate of a file's line.
func (l *rateFileLine) rate(code string) (*Rate, error) {
	if l == nil || l.Num == nil {
		return nil, fmt.Errorf("currency %s has no rate: give num and den", code)
	}
	r := &Rate{Num: uint64(*l.Num), Den: 1}
	if l.Den != nil {
		r.Den = uint64(*l.Den)
	}
	if l.Exponent != nil {
		exponent := uint32(min(*l.Exponent, maxExponent+1))
		r.Exponent = &exponent
	}
	return r, nil
}

// complete checks the rate and fills in the exponent.
func (c *Rate) complete(code string) error {
	if c.Num < 1 || c.Den < 1 || c.Num > maxRatePart || c.Den > maxRatePart {
		return fmt.Errorf("currency %s: num and den must be 1 to %d", code, int64(maxRatePart))
	}
	iso, known := isoExponent(code)
	if c.Exponent == nil {
		if !known {
			return fmt.Errorf("currency %s is no ISO 4217 code: give its exponent", code)
		}
		c.Exponent = &iso
	}
	if known && *c.Exponent != iso {
		return fmt.Errorf("currency %s: exponent %d, but ISO 4217 says %d", code, *c.Exponent, iso)
	}
	if *c.Exponent > maxExponent {
		return fmt.Errorf("currency %s: the exponent is at most %d", code, maxExponent)
	}
	return nil
}

// version names the table and its content.
func (t *RateTable) version() string {
	if t.hash == "" {
		return t.Version
	}
	return t.Version + "." + t.hash
}
