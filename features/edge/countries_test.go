package edge_test

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// TestRealAddresses asks the lists that come with the build about networks whose owners are known: hosters, a Tor exit, a public
// resolver, and access lines of Malta, the United Kingdom and Germany.
func TestRealAddresses(t *testing.T) {
	e := open(t, config(t))
	f := func(ip, asn, class, asnClass string) {
		t.Helper()
		msg := withAddress(bet(), ip)
		if asn != "" {
			msg.Entities = append(msg.Entities, raw("asn", asn))
		}
		ev := accept(t, e, msg)
		if en := msg.GetEnrichment(); en.GetAddressClass() != class || en.GetAsnClass() != asnClass {
			t.Errorf("%s of AS %q: got %q and %q, want %q and %q", ip, asn, en.GetAddressClass(), en.GetAsnClass(), class, asnClass)
		}
		field, ok := ev.Field("asn_class")
		if ok != (asnClass != "") || ok && field.Text != asnClass {
			t.Errorf("%s of AS %q: asn_class is %v to feature sets, want %q", ip, asn, field, asnClass)
		}
	}
	f("5.9.0.1", "AS24940", "datacenter", "datacenter")      // Hetzner
	f("104.131.0.1", "14061", "datacenter", "datacenter")    // DigitalOcean
	f("129.146.0.1", "31898", "datacenter", "unknown")       // Oracle, whose number is on no list
	f("8.8.8.8", "15169", "datacenter", "datacenter")        // Google
	f("185.220.101.1", "60729", "vpn", "unknown")            // a Tor exit, which the built-in lists have as VPN
	f("146.70.0.1", "9009", "datacenter", "datacenter")      // M247, by its number alone
	f("80.85.96.1", "15735", "unknown", "unknown")           // GO, Malta
	f("86.128.0.1", "2856", "unknown", "unknown")            // BT, United Kingdom
	f("217.85.0.1", "3320", "unknown", "unknown")            // Deutsche Telekom
	f("2a01:4f8::1", "24940", "datacenter", "datacenter")    // Hetzner: of IPv6 the built-in lists know numbers alone
	f("2a02:26f7::1", "", "unknown", "")                     // and nothing without
	f("::ffff:5.9.0.1", "24940", "datacenter", "datacenter") // the same in IPv6 clothes
}

// TestCountriesAgainstOneAnother holds the flags of country, currency and card, and that what is not known is no flag.
func TestCountriesAgainstOneAnother(t *testing.T) {
	cfg := config(t)
	cfg.Address.CountryDB = writeMMDB(t, cfg.Dir, "country.mmdb", "Test Country", map[string]any{
		"80.85.96.0/24": map[string]any{"country": map[string]any{"iso_code": "MT"}},
		"86.128.0.0/24": map[string]any{"country": map[string]any{"iso_code": "GB"}},
		"23.0.0.0/24":   map[string]any{"country": map[string]any{"iso_code": "PA"}},
		"24.0.0.0/24":   map[string]any{"country": map[string]any{"iso_code": "HR"}},
		"25.0.0.0/24":   map[string]any{"country": map[string]any{"iso_code": "AQ"}},
	})
	e := open(t, cfg)
	f := func(ip, currency, card string, want map[string]bool) {
		t.Helper()
		msg := withAddress(bet(), ip)
		msg.Type = "payment.deposit_requested"
		msg.Payload = &pb.Event_PaymentDepositRequested{PaymentDepositRequested: &pb.PaymentDepositRequested{
			Amount: &pb.Money{AmountMinor: 100, Currency: currency}, BinCc: card,
		}}
		msg.Attributes = nil
		ev := accept(t, e, msg)
		got := map[string]bool{}
		for _, name := range []string{"country_currency_mismatch", "card_country_mismatch", "card_currency_mismatch"} {
			if field, ok := ev.Field(name); ok {
				got[name] = field.Int == 1
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %s, card of %q (-want +got):\n%s", ip, currency, card, diff)
		}
		if msg.GetEnrichment().GetAddressVersion() != e.AddressVersion() || !strings.Contains(e.AddressVersion(), "currencies.") {
			t.Errorf("the version is %q of %q", msg.GetEnrichment().GetAddressVersion(), e.AddressVersion())
		}
	}
	all := func(countryCurrency, cardCountry, cardCurrency bool) map[string]bool {
		return map[string]bool{"country_currency_mismatch": countryCurrency, "card_country_mismatch": cardCountry, "card_currency_mismatch": cardCurrency}
	}
	f("80.85.96.1", "EUR", "MT", all(false, false, false))
	f("80.85.96.1", "EUR", "DE", all(false, true, false))
	f("80.85.96.1", "EUR", "US", all(false, true, true))
	f("86.128.0.1", "EUR", "GB", all(true, false, true))
	f("86.128.0.1", "USD", "US", all(true, true, false))
	f("23.0.0.1", "USD", "PA", all(false, false, false)) // Panama has two
	f("24.0.0.1", "EUR", "HR", all(false, false, false)) // Croatia since 2023
	f("86.128.0.1", "EUR", "", map[string]bool{"country_currency_mismatch": true})
	f("217.85.0.1", "EUR", "US", map[string]bool{"card_currency_mismatch": true})                               // of no known country
	f("80.85.96.1", "BTC", "US", map[string]bool{"card_country_mismatch": true})                                // no country's money
	f("25.0.0.1", "EUR", "MT", map[string]bool{"card_country_mismatch": true, "card_currency_mismatch": false}) // Antarctica has none
	f("217.85.0.1", "EUR", "", map[string]bool{})
}

func TestCurrenciesOfCountriesAreRefused(t *testing.T) {
	f := func(table, want string) {
		t.Helper()
		cfg := config(t)
		cfg.Address.Currencies = write(t, cfg.Dir, "currencies.csv", table)
		_, err := edge.New(cfg)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "currencies.csv")) {
			t.Errorf("%q: got %v, want %q", table, err, want)
		}
	}
	f("country,currencies\nMT,EUR\n", "")
	f("# ours\ncountry,currencies\nMT,EUR\nPA,PAB USD\n", "")
	f("country,currencies\n", "no country")
	f("", "no country")
	f("country,currencies\nMT\n", "wrong number of fields")
	f("country,currencies\nMalta,EUR\n", "line 2")
	f("country,currencies\nMT,EUR\nMT,USD\n", "line 3")
	f("country,currencies\nMT, \n", "line 2")
	cfg := config(t)
	cfg.Address.Currencies = "none.csv"
	if _, err := edge.New(cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a table that is not there: %v", err)
	}
}

// TestLookAlikesOfUnicode holds that every character of the table, alone in a name, makes it look like the name in Latin.
func TestLookAlikesOfUnicode(t *testing.T) {
	e := open(t, config(t))
	skeleton := func(nickname string) string {
		msg := bet()
		msg.Type = "account.registered"
		msg.Payload = &pb.Event_AccountRegistered{AccountRegistered: &pb.AccountRegistered{Nickname: nickname}}
		accept(t, e, msg)
		if v := msg.GetEnrichment().GetNicknameVersion(); !strings.HasPrefix(v, "confusables.") {
			t.Fatalf("the version is %q", v)
		}
		return msg.GetEnrichment().GetNicknameSkeleton()
	}
	file, err := os.Open("lists/confusables.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comment = '#'
	for n := 0; ; n++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			if n < 300 {
				t.Errorf("only %d rows", n)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			continue
		}
		code, err := strconv.ParseInt(row[0], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		char := rune(code)
		if strings.ContainsRune("ҫđєłøөω", char) {
			continue // taken for another letter by our own table, which comes first
		}
		if skeleton("k"+string(char)+"ng") != skeleton("k"+row[1]+"ng") {
			t.Errorf("U+%s (%s) is not taken for %q", row[0], row[2], row[1])
		}
	}
}
