package edge_test

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"pitboss/features"
	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

func TestMoneyIsConvertedExactly(t *testing.T) {
	e := open(t, config(t))
	f := func(minor int64, currency string, exponent uint32, base int64) {
		t.Helper()
		msg := bet()
		msg.Attributes["x"] = &pb.Value{Kind: &pb.Value_Money{Money: &pb.Money{AmountMinor: minor, Currency: currency}}}
		accept(t, e, msg)
		got := msg.Attributes["x"].GetMoney()
		if got.GetBaseMinor() != base || got.GetExponent() != exponent || got.BaseMinor == nil || got.Exponent == nil {
			t.Errorf("%d %s: got base %d exponent %d, want %d %d", minor, currency, got.GetBaseMinor(), got.GetExponent(), base, exponent)
		}
	}
	f(0, "EUR", 2, 0)
	f(-1e15, "EUR", 2, -1e15)
	f(100, "USD", 2, 92)
	f(1, "USD", 2, 1)
	f(1000, "JPY", 0, 610)
	f(50, "JPY", 0, 30)   // 30.5 to the even 30
	f(150, "JPY", 0, 92)  // 91.5 to the even 92
	f(-50, "JPY", 0, -30) // the same away from zero
	f(-150, "JPY", 0, -92)
	f(151, "JPY", 0, 92) // 92.11
	f(1000, "KWD", 3, 310)
	f(100_000_000, "BTC", 8, 9_000_000)
}

// TestMoneyEqualsBigRationals holds the 128-bit arithmetic against math/big.
func TestMoneyEqualsBigRationals(t *testing.T) {
	rnd := seeded(t)
	size := func(most int64) int64 { return 1 + rnd.Int64N(1+rnd.Int64N(1+rnd.Int64N(most))) }
	for range 300 {
		num, den := size(1e15), size(1e15)
		if rnd.IntN(3) == 0 {
			num, den = size(1000), 2*size(500) // many ties
		}
		cfg := config(t)
		table := &edge.RateTable{Version: "1", Base: "EUR", Currencies: map[string]*edge.Rate{}}
		exponent := uint32(2)
		table.Currencies["USD"] = &edge.Rate{Num: uint64(num), Den: uint64(den), Exponent: &exponent}
		cfg.Tenants["casino"] = edge.TenantConfig{Rates: table}
		cfg.Address.Lists = nil
		e := open(t, cfg)
		for range 20 {
			checkAgainstBig(t, e, rnd, num, den)
		}
	}
}

func checkAgainstBig(t *testing.T, e *edge.Edge, rnd *rand.Rand, num, den int64) {
	t.Helper()
	minor := rnd.Int64N(1 + rnd.Int64N(2e15))
	if minor > 1e15 {
		minor = 1e15 - minor
	}
	want := roundHalfEven(new(big.Int).Mul(big.NewInt(minor), big.NewInt(num)), big.NewInt(den))
	msg := bet()
	msg.Attributes = map[string]*pb.Value{"x": {Kind: &pb.Value_Money{Money: &pb.Money{AmountMinor: minor, Currency: "USD"}}}}
	err := e.Accept(msg, now, &features.Event{})
	if refused, ok := errors.AsType[*edge.Error](err); ok {
		if refused.Reason != edge.AmountOverflow || want.CmpAbs(big.NewInt(1e15)) <= 0 {
			t.Fatalf("%d*%d/%d = %s: refused: %v", minor, num, den, want, refused)
		}
		return
	}
	if got := msg.Attributes["x"].GetMoney().GetBaseMinor(); want.Cmp(big.NewInt(got)) != 0 {
		t.Fatalf("%d*%d/%d: got %d, want %s", minor, num, den, got, want)
	}
}

// roundHalfEven gives a/b for b > 0, rounded to nearest and ties to even, in the plainest way there is.
func roundHalfEven(a, b *big.Int) *big.Int {
	floor, rest := new(big.Int).DivMod(a, b, new(big.Int))
	switch new(big.Int).Lsh(rest, 1).Cmp(b) {
	case -1:
		return floor
	case 0:
		if floor.Bit(0) == 0 {
			return floor
		}
	}
	return floor.Add(floor, big.NewInt(1))
}

func TestTenantsHaveTheirOwnBaseCurrency(t *testing.T) {
	e := open(t, config(t))
	msg := bet()
	msg.Tenant = "other"
	var refused *edge.Error
	if err := e.Accept(msg, now, &features.Event{}); !errors.As(err, &refused) || refused.Reason != edge.UnknownCurrency {
		t.Errorf("EUR without a rate to GBP: got %v", err)
	}
	msg = bet()
	msg.Tenant, msg.Attributes = "other", nil
	msg.GetBetPlaced().Amount.Currency, msg.GetBetPlaced().BalanceAfter = "GBP", nil
	accept(t, e, msg)
	if got := msg.GetEnrichment().GetRatesVersion(); got != "identity" {
		t.Errorf("rates version: got %q, want identity", got)
	}
	if v, ok := e.RatesVersion("casino"); !ok || !strings.HasPrefix(v, "2026-11-01.") {
		t.Errorf("rates version of casino: got %q", v)
	}
	if _, ok := e.RatesVersion("nobody"); ok {
		t.Error("a tenant that does not exist has rates")
	}
}

func TestRateTablesThatAreRefused(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := edge.ParseRates([]byte(text), "r.yaml")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"r.yaml"`) {
			t.Errorf("%s\ngot %v, want an error with %q", text, err, want)
		}
	}
	f(`version: "1"`, `base ""`)
	f(`{version: "a b", base: EUR}`, `version "a b"`)
	f(`{version: "1", base: eur}`, `base "eur"`)
	f(`{version: "1", base: EUR, extra: 1}`, "extra")
	f(`{version: "1", base: EUR, currencies: {usd: {num: 1}}}`, `currency "usd"`)
	f(`{version: "1", base: EUR, currencies: {USD: }}`, "USD has no rate")
	f(`{version: "1", base: EUR, currencies: {USD: {den: 5}}}`, "USD has no rate")
	f(`{version: "1", base: EUR, currencies: {USD: {num: 0}}}`, "USD: num and den")
	f(`{version: "1", base: EUR, currencies: {USD: {num: -1}}}`, "no whole number")
	f(`{version: "1", base: EUR, currencies: {USD: {num: 1000000000000001}}}`, "USD: num and den")
	f(`{version: "1", base: EUR, currencies: {USD: {num: 1, den: 0.5}}}`, "no whole number")
	f(`{version: "1", base: EUR, currencies: {USD: {num: 1, exponent: 3}}}`, "ISO 4217 says 2")
	f(`{version: "1", base: EUR, currencies: {DOGE: {num: 1}}}`, "DOGE is no ISO 4217 code")
	f(`{version: "1", base: EUR, currencies: {DOGE: {num: 1, exponent: 19}}}`, "at most 18")
	f(`{version: "1", base: EUR, currencies: {EUR: {num: 2}}}`, "must be 1")
	f(`[`, "cannot parse")
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	f := func(change func(*edge.Config), want string) {
		t.Helper()
		cfg := config(t)
		change(&cfg)
		if _, err := edge.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	lists := func(l ...edge.AddressList) func(*edge.Config) {
		return func(c *edge.Config) { c.Address.Lists = l }
	}
	values := func(l ...edge.ListConfig) func(*edge.Config) {
		return func(c *edge.Config) {
			write(t, c.Dir, "l.txt", "ok\nnot an address\n")
			c.Lists = l
		}
	}
	f(func(c *edge.Config) { c.Tenants = nil }, "at least one")
	f(func(c *edge.Config) { c.Tenants["a\x00"] = edge.TenantConfig{} }, `"a\x00" is no name`)
	f(func(c *edge.Config) { c.Tenants["third"] = edge.TenantConfig{} }, `tenant "third": the keys file has no key`)
	f(func(c *edge.Config) { c.Tenants["other"] = edge.TenantConfig{BaseCurrency: "QQQ"} }, `"QQQ"`)
	f(func(c *edge.Config) { c.Tenants["other"] = edge.TenantConfig{RatesFile: "none.yaml"} }, "none.yaml")
	f(func(c *edge.Config) {
		c.Tenants["casino"] = edge.TenantConfig{BaseCurrency: "USD", Rates: c.Tenants["casino"].Rates}
	}, "to EUR")
	f(func(c *edge.Config) { c.Keys = nil }, "keys_file")
	f(func(c *edge.Config) { c.Keys, c.KeysFile = nil, "none.yaml" }, "keys new")
	f(lists(edge.AddressList{Name: "a", Class: "good", Path: "x"}), "must be one of")
	f(lists(edge.AddressList{Name: "a", Class: "vpn"}), "path: needed")
	f(lists(edge.AddressList{Name: "a b", Class: "vpn", Path: "builtin:vpn-ipv4"}), `"a b"`)
	f(lists(edge.AddressList{Name: "a", Class: "vpn", Path: "builtin:nothing"}), `no built-in list "nothing"`)
	f(lists(edge.AddressList{Name: "a", Class: "vpn", Path: "none.txt"}), "none.txt")
	f(func(c *edge.Config) {
		c.Address.Lists = []edge.AddressList{{Name: "a", Class: "vpn", Path: write(t, c.Dir, "v.txt", "1.1.1.0/24\n1.1.1/24\n")}}
	}, `line 2`)
	f(func(c *edge.Config) {
		c.Address.Lists = []edge.AddressList{{Name: "a", Class: "vpn", Path: write(t, c.Dir, "a.csv", "ASN\nx\n")}}
	}, `line 2: not an AS number`)
	f(func(c *edge.Config) {
		c.Address.Lists = []edge.AddressList{{Name: "a", Class: "vpn", Path: write(t, c.Dir, "v.gz", "\x1f\x8bno")}}
	}, `unpack`)
	f(func(c *edge.Config) { c.Address.CountryDB = write(t, c.Dir, "c.mmdb", "no database") }, "c.mmdb")
	f(func(c *edge.Config) { c.Address.ASNDB = "none.mmdb" }, "none.mmdb")
	ok := edge.ListConfig{Name: "l", Kind: "player", Path: "l.txt"}
	change := func(f func(*edge.ListConfig)) edge.ListConfig { l := ok; f(&l); return l }
	f(values(ok, ok), "used twice")
	f(values(change(func(l *edge.ListConfig) { l.Name = "" })), "must match")
	f(values(change(func(l *edge.ListConfig) { l.Kind = "sofa" })), `"sofa"`)
	f(values(change(func(l *edge.ListConfig) { l.Form = "x" })), `form "x"`)
	f(values(change(func(l *edge.ListConfig) { l.Path = "" })), "path: needed")
	f(values(change(func(l *edge.ListConfig) { l.Tenants = []string{"nobody"} })), `no tenant "nobody"`)
	f(values(change(func(l *edge.ListConfig) { l.Kind = "ip" })), "line 1")
	f(values(change(func(l *edge.ListConfig) { l.Kind = "asn" })), "line 1: the value is not an AS number")
}

func TestKeysFiles(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/keys.yaml"
	if err := edge.WriteKeys(path, "casino", "other"); err != nil {
		t.Fatal(err)
	}
	if err := edge.WriteKeys(path, "casino"); err == nil {
		t.Error("keys were overwritten")
	}
	keys, err := edge.LoadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	prints := keys.Fingerprints()
	if len(prints) != 2 || prints[0].Tenant != "casino" || prints[1].Tenant != "other" || prints[0].Value == prints[1].Value ||
		len(prints[0].Value) != 16 || !prints[0].Active || prints[0].KeyID != "1" {
		t.Errorf("fingerprints: got %+v", prints)
	}
	again, err := edge.LoadKeys(path)
	if err != nil || again.Fingerprints()[0] != prints[0] {
		t.Errorf("the same file has another fingerprint: %v, %v", again, err)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := edge.LoadKeys(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("world-readable keys: got %v", err)
	}
}

func TestKeysFilesThatAreRefused(t *testing.T) {
	secret := strings.Repeat("ab", 32)
	f := func(text, want string) {
		t.Helper()
		_, err := edge.ParseKeys([]byte(text), "k.yaml")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot %v, want an error with %q", text, err, want)
			return
		}
		if strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
	key := func(body string) string { return "{format: 1, tenants: {casino: {keys: [" + body + "]}}}" }
	f("", "not YAML")
	f("format: 2", "format 2")
	f("{format: 1, tenants: {casino: {}}}", "no key is active")
	f("{format: 1, oops: "+secret+"}", "line 1")
	f("{format: 1, tenants: [ "+secret, "k.yaml")
	f(key("{id: A, secret: "+secret+", active: true}"), "id must match")
	f(key("{id: a, secret: "+secret+"}"), "exactly one")
	f(key("{id: a, secret: "+secret+", active: true, retired: true}"), "exactly one")
	f(key("{id: a, secret: "+secret+", retired: true}"), "no key is active")
	f(key("{id: a, secret: "+secret+", active: true}, {id: b, secret: "+secret+", active: true}"), "both active")
	f(key("{id: a, secret: "+secret+", active: true}, {id: a, secret: "+secret+", retired: true}"), "twice")
	f(key("{id: a, secret: abcd, active: true}"), "2 bytes")
	f(key("{id: a, secret: '"+strings.Repeat("ab", 65)+"', active: true}"), "65 bytes")
	f(key("{id: a, secret: '***', active: true}"), "neither hex nor base64")
}
