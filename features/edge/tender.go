package edge

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	pb "pitboss/proto/pitboss/v1"
)

const builtinCurrencies = "builtin:country-currency"

// tender says which currencies are legal tender where.
type tender struct {
	byCountry map[string][]string
	// codes are the currencies of some country: of no other can be said that it is abroad.
	codes map[string]bool
}

// openTender reads the table and gives its version.
func openTender(path, dir string) (*tender, string, error) {
	if path == "" {
		path = builtinCurrencies
	}
	in, hash, err := openList(path, dir)
	if err != nil {
		return nil, "", fmt.Errorf("currencies of countries: %w", err)
	}
	t, err := parseTender(in, path)
	if err != nil {
		return nil, "", fmt.Errorf("currencies of countries: %w", err)
	}
	return t, "currencies." + hash, nil
}

// parseTender reads a .csv with one header line: a country, its currencies.
func parseTender(in io.Reader, file string) (*tender, error) {
	r := csv.NewReader(in)
	r.Comment, r.FieldsPerRecord = '#', 2
	t := &tender{byCountry: map[string][]string{}, codes: map[string]bool{}}
	for n := 0; ; n++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read list %q: %w", file, err)
		}
		if n == 0 {
			continue
		}
		line, _ := r.FieldPos(0)
		country, currencies := row[0], strings.Fields(row[1])
		if _, twice := t.byCountry[country]; twice || !isCountry(country) || len(currencies) == 0 {
			return nil, fmt.Errorf("list %q, line %d: a line has a country's code, once, and at least one currency", file, line)
		}
		for _, code := range currencies {
			t.codes[code] = true
		}
		t.byCountry[country] = currencies
	}
	if len(t.byCountry) == 0 {
		return nil, fmt.Errorf("list %q has no country", file)
	}
	return t, nil
}

// abroad says whether a currency is none of a country's; known is false where one of them is nothing that the table has:
// crypto is no country's.
func (t *tender) abroad(country, currency string) (abroad, known bool) {
	here, ok := t.byCountry[country]
	if !ok || !t.codes[currency] {
		return false, false
	}
	return !slices.Contains(here, currency), true
}

// enrichCountries holds the countries of the address and the card, and the currency of the payload, against one another. A flag
// stays absent where one side is not known. True says that there is one.
func (c *checker) enrichCountries(en *pb.Enrichment) bool {
	t := c.edge.book.tender
	if abroad, ok := t.abroad(en.GetCountry(), c.currency); ok {
		en.CountryCurrencyMismatch = new(abroad)
	}
	if abroad, ok := t.abroad(c.card, c.currency); ok {
		en.CardCurrencyMismatch = new(abroad)
	}
	if c.card != "" && en.GetCountry() != "" {
		en.CardCountryMismatch = new(c.card != en.GetCountry())
	}
	return en.CountryCurrencyMismatch != nil || en.CardCurrencyMismatch != nil
}
