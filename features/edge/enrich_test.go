package edge_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// seeded gives a random source whose seed is printed, and taken back from PITBOSS_SEED.
func seeded(tb testing.TB) *rand.Rand {
	tb.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("PITBOSS_SEED"); given != "" {
		parsed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			tb.Fatalf("PITBOSS_SEED: %v", err)
		}
		seed = parsed
	}
	tb.Logf("PITBOSS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func withAddress(msg *pb.Event, value string) *pb.Event {
	for _, id := range msg.Entities {
		if id.Kind == "ip" {
			id.Value = value
		}
	}
	return msg
}

func TestAddressIsEnriched(t *testing.T) {
	cfg := config(t)
	cfg.Address.CountryDB = writeMMDB(t, cfg.Dir, "country.mmdb", "Test Country", map[string]any{
		"203.0.113.0/24":  map[string]any{"country": map[string]any{"iso_code": "MT"}},
		"2001:db8::/32":   map[string]any{"registered_country": map[string]any{"iso_code": "SE"}},
		"198.51.100.0/24": map[string]any{"country": map[string]any{"iso_code": "a very odd code"}},
	})
	cfg.Address.ASNDB = writeMMDB(t, cfg.Dir, "asn.mmdb", "Test-ASN", map[string]any{
		"203.0.113.0/25": map[string]any{"autonomous_system_number": uint32(64500)},
		"2001:db8::/32":  map[string]any{"autonomous_system_number": uint32(3223)}, // VOXILITY, on bad-asn
	})
	cfg.Address.Lists = append(cfg.Address.Lists,
		edge.AddressList{Name: "exits", Class: "tor", Path: write(t, cfg.Dir, "tor.txt", "# exits\n2.26.157.9\n2001:db8:1::/48 # a farm\n")},
		edge.AddressList{Name: "isp", Class: "eyeball", Path: writeGzip(t, cfg.Dir, "isp.txt.gz", "203.0.113.0/24\n")})
	e := open(t, cfg)

	f := func(ip, network, class, country, asn string) {
		t.Helper()
		msg := withAddress(bet(), ip)
		accept(t, e, msg)
		en := msg.GetEnrichment()
		if en.GetAddressClass() != class || en.GetCountry() != country {
			t.Errorf("%s: got class %q country %q, want %q %q", ip, en.GetAddressClass(), en.GetCountry(), class, country)
		}
		want, err := e.Alias("casino", "entity", raw("ip24", network))
		if err != nil {
			t.Fatal(err)
		}
		derived := []*pb.Identifier{want}
		if asn != "" {
			derived = append(derived, raw("asn", asn))
		}
		if diff := cmp.Diff(derived, en.GetDerived(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: derived entities (-want +got):\n%s", ip, diff)
		}
	}
	f("203.0.113.9", "203.0.113.0/24", "eyeball", "MT", "64500")
	f("203.0.113.200", "203.0.113.0/24", "eyeball", "MT", "")
	f("::ffff:203.0.113.9", "203.0.113.0/24", "eyeball", "MT", "64500")
	f("198.51.100.1", "198.51.100.0/24", "unknown", "", "")
	f("2.26.157.9", "2.26.157.0/24", "tor", "", "")
	f("2.26.157.10", "2.26.157.255", "vpn", "", "")
	f("1.12.0.1", "1.12.0.0/24", "datacenter", "", "")
	f("2001:db8:1:2::3", "2001:db8:1::/48", "tor", "SE", "3223")
	f("2001:DB8:2:2:0:0:0:3", "2001:db8:2::/48", "datacenter", "SE", "3223")
	f("192.168.1.1", "192.168.1.0/24", "unknown", "", "")

	for _, name := range []string{"exits.", "vpn-ipv4.", "datacenter-ipv4.", "bad-asn.", "isp.", "TestCountry.", "Test-ASN."} {
		if !strings.Contains(e.AddressVersion(), name) {
			t.Errorf("address version %q does not name %s", e.AddressVersion(), name)
		}
	}
}

func writeGzip(tb testing.TB, dir, name, text string) string {
	tb.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return write(tb, dir, name, packed.String())
}

func TestAddressThatTheProducerKnowsBetter(t *testing.T) {
	cfg := config(t)
	cfg.Address.ASNDB = writeMMDB(t, cfg.Dir, "asn.mmdb", "Test-ASN", map[string]any{
		"203.0.113.0/24": map[string]any{"autonomous_system_number": uint32(64500)},
	})
	e := open(t, cfg)
	msg := withAddress(bet(), "203.0.113.9")
	msg.Entities = append(msg.Entities, raw("asn", "AS3223"), raw("ip24", "203.0.113.77"))
	accept(t, e, msg)
	want, err := e.Alias("casino", "", raw("ip24", "203.0.113.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*pb.Identifier{raw("asn", "3223"), want}, msg.Entities[6:], protocmp.Transform()); diff != "" {
		t.Errorf("entities (-want +got):\n%s", diff)
	}
	if en := msg.GetEnrichment(); len(en.GetDerived()) != 0 || en.GetAddressClass() != "datacenter" {
		t.Errorf("got class %q and derived %v, want datacenter by the producer's asn and none", en.GetAddressClass(), en.GetDerived())
	}

	blind := bet()
	blind.Entities[3] = alias("ip", "operator-alias-1")
	accept(t, e, blind)
	if en := blind.GetEnrichment(); en.GetAddressClass() != "" || en.GetAddressVersion() != "" || len(en.GetDerived()) != 0 {
		t.Errorf("an alias says nothing of an address: got %v", en)
	}
	if got := blind.Entities[3].GetValue(); got != "operator-alias-1" {
		t.Errorf("an alias must stay as it came: got %q", got)
	}
}

// TestRangesEqualPrefixes holds the binary search against asking every network in turn.
func TestRangesEqualPrefixes(t *testing.T) {
	rnd := seeded(t)
	address := func(six bool) netip.Addr {
		if six {
			b := [16]byte{0x20, 1, 0, byte(rnd.IntN(4))}
			b[7], b[8], b[15] = byte(rnd.IntN(4)), byte(rnd.IntN(256)), byte(rnd.IntN(256))
			return netip.AddrFrom16(b)
		}
		return netip.AddrFrom4([4]byte{byte(rnd.IntN(3)), byte(rnd.IntN(3)), byte(rnd.IntN(256)), byte(rnd.IntN(256))})
	}
	for range 20 {
		cfg := config(t)
		var prefixes []netip.Prefix
		var text strings.Builder
		for range rnd.IntN(60) {
			six := rnd.IntN(2) == 0
			bits := 8 + rnd.IntN(25)
			if six {
				bits = 20 + rnd.IntN(109)
			}
			p := netip.PrefixFrom(address(six), bits)
			prefixes = append(prefixes, p)
			fmt.Fprintln(&text, p)
		}
		cfg.Address.Lists = []edge.AddressList{{Name: "l", Class: "mobile", Path: write(t, cfg.Dir, "l.txt", text.String())}}
		e := open(t, cfg)
		for range 200 {
			a := address(rnd.IntN(2) == 0)
			want := "unknown"
			for _, p := range prefixes {
				if p.Contains(a) {
					want = "mobile"
				}
			}
			msg := withAddress(bet(), a.String())
			accept(t, e, msg)
			if got := msg.GetEnrichment().GetAddressClass(); got != want {
				t.Fatalf("%s among %v: got %s, want %s", a, prefixes, got, want)
			}
		}
	}
}

func TestListsAreLookedUpBeforeHashing(t *testing.T) {
	cfg := config(t)
	cfg.Lists = []edge.ListConfig{
		{Name: "stolen-cards", Kind: "instrument", Path: write(t, cfg.Dir, "cards.txt", "tok_1\n# no\ntok_#2\n")},
		{Name: "bad-ips", Kind: "ip", Path: write(t, cfg.Dir, "ips.txt", "203.0.113.0/25\n2001:db8::1\n")},
		{Name: "office", Kind: "ip24", Path: write(t, cfg.Dir, "net.txt", "203.0.113.0/24\n")},
		{Name: "impostors", Kind: "nickname", Path: write(t, cfg.Dir, "nicks.txt", "Admin\n")},
		{Name: "vips", Kind: "player", Form: "alias", Path: write(t, cfg.Dir, "vips.txt", "op-7\n")},
		{Name: "foreign", Kind: "player", Tenants: []string{"other"}, Path: write(t, cfg.Dir, "o.txt", "jane\n")},
	}
	e := open(t, cfg)
	f := func(change func(*pb.Event), want ...string) {
		t.Helper()
		msg := &pb.Event{EventId: "e", Type: "account.registered", Tenant: "casino", OccurredAt: bet().OccurredAt,
			Entities: []*pb.Identifier{raw("player", "jane")},
			Payload:  &pb.Event_AccountRegistered{AccountRegistered: &pb.AccountRegistered{}}}
		change(msg)
		accept(t, e, msg)
		var got []string
		for _, hit := range msg.GetEnrichment().GetListHits() {
			if len(hit.GetVersion()) != 8 {
				t.Errorf("hit %v: the version is no hash", hit)
			}
			got = append(got, hit.GetList()+" "+hit.GetKind())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("hits (-want +got):\n%s", diff)
		}
	}
	add := func(ids ...*pb.Identifier) func(*pb.Event) {
		return func(m *pb.Event) { m.Entities = append(m.Entities, ids...) }
	}
	nick := func(name string) func(*pb.Event) {
		return func(m *pb.Event) { m.GetAccountRegistered().Nickname = name }
	}
	f(add())
	f(add(raw("instrument", "tok_1")), "stolen-cards instrument")
	f(add(raw("instrument", "tok_#2")), "stolen-cards instrument")
	f(add(alias("instrument", "tok_1")))
	f(add(raw("ip", "203.0.113.9")), "bad-ips ip", "office ip24")
	f(add(raw("ip", "203.0.113.200")), "office ip24")
	f(add(raw("ip", "2001:db8:0::1")), "bad-ips ip")
	f(nick("ＡＤＭ1N"), "impostors nickname")
	f(nick("аdmin"), "impostors nickname") // Cyrillic а
	f(nick("adam"))
	f(func(m *pb.Event) { m.Entities[0] = alias("player", "op-7") }, "vips player")
	f(func(m *pb.Event) { m.Entities[0] = raw("player", "op-7") })
	f(func(m *pb.Event) { m.Tenant = "other" }, "foreign player")

	infos := e.Lists()
	if len(infos) != 6 || infos[0].Entries != 2 || infos[1].Entries != 2 {
		t.Errorf("lists: got %+v", infos)
	}
}

func TestNicknamesThatLookAlikeShareASkeleton(t *testing.T) {
	e := open(t, config(t))
	skeleton := func(nickname string) string {
		t.Helper()
		msg := bet()
		msg.Type = "account.registered"
		msg.Payload = &pb.Event_AccountRegistered{AccountRegistered: &pb.AccountRegistered{Nickname: nickname}}
		accept(t, e, msg)
		if got := msg.GetAccountRegistered().GetNickname(); got != "" {
			t.Errorf("the nickname %q is still there: %q", nickname, got)
		}
		return msg.GetEnrichment().GetNicknameSkeleton()
	}
	f := func(a, b string, same bool) {
		t.Helper()
		if got := skeleton(a) == skeleton(b); got != same {
			t.Errorf("%q and %q: same skeleton is %t, want %t", a, b, got, same)
		}
	}
	f("JackPot", "jackpot", true)
	f("jackpot", "j a_c-k.p0t", true)
	f("paypal", "раураl", true) // Cyrillic
	f("Paypal", "PAYPAI", true)
	f("ΚΙΝΓ", "king", false)
	f("Ωmega", "wmega", true)
	f("crème", "creme", true)
	f("modern", "modem", true)
	f("straße", "strasse", true)
	f("ｆｕｌｌ", "full", true)
	f("zero\u200bwidth", "zerowidth", true)
	f("\u202ead\u2066m\u2069i\ufeffn\u202c", "admin", true)
	f("\u200b\u200c", "\u200b", false)
	f("high5", "highs", true)
	f("alice", "alicia", false)
	f("\u73a9\u5bb6\u4e00", "\u73a9\u5bb6\u4e8c", false) // Han: player one, player two
	f("!!!", "???", false)
	f("--", "__", false)
	if got := skeleton(""); got != "" {
		t.Errorf("no nickname: got skeleton %q", got)
	}
	if got := skeleton("jackpot"); !strings.HasPrefix(got, "a2_") {
		t.Errorf("the skeleton is not an alias: %q", got)
	}
}

// TestNoRawValueIsStored scans the accepted message for every raw personal value that went in.
func TestNoRawValueIsStored(t *testing.T) {
	rnd := seeded(t)
	cfg := config(t)
	e := open(t, cfg)
	kinds := []string{"player", "account", "session", "device", "instrument", "customer"}
	secret := func() string {
		const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789é@. "
		runes, out := []rune(letters), strings.Builder{}
		for range 8 + rnd.IntN(24) {
			out.WriteRune(runes[rnd.IntN(len(runes))])
		}
		return out.String()
	}
	for range 500 {
		msg, secrets := bet(), []string(nil)
		msg.Entities = nil
		for _, kind := range kinds {
			secrets = append(secrets, secret())
			msg.Entities = append(msg.Entities, raw(kind, secrets[len(secrets)-1]))
		}
		ip := netip.AddrFrom4([4]byte{byte(1 + rnd.IntN(200)), byte(100 + rnd.IntN(100)), byte(100 + rnd.IntN(100)), byte(rnd.IntN(256))})
		network, err := ip.Prefix(24)
		if err != nil {
			t.Fatal(err)
		}
		msg.Entities = append(msg.Entities, raw("ip", ip.String()))
		nickname := secret()
		msg.Type = "account.registered"
		msg.Payload = &pb.Event_AccountRegistered{AccountRegistered: &pb.AccountRegistered{Nickname: nickname}}
		secrets = append(secrets, ip.String(), network.String(), strings.TrimSuffix(network.String(), ".0/24"), nickname)
		rnd.Shuffle(len(msg.Entities), func(i, j int) { msg.Entities[i], msg.Entities[j] = msg.Entities[j], msg.Entities[i] })

		ev := accept(t, e, msg)
		data, err := proto.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		inMemory := fmt.Sprintf("%+v", ev)
		for _, s := range secrets {
			if bytes.Contains(data, []byte(s)) || strings.Contains(inMemory, s) {
				t.Fatalf("%q is still there: %s", s, msg)
			}
		}
	}
}

func TestAliasesKeepApart(t *testing.T) {
	e := open(t, config(t))
	seen := map[string]string{}
	f := func(tenant string, id *pb.Identifier) {
		t.Helper()
		stored, err := e.Alias(tenant, "entity", id)
		if err != nil {
			t.Fatal(err)
		}
		if stored.GetForm() != pb.Form_FORM_ALIAS || len(stored.GetValue()) != len("a2_")+32 {
			t.Errorf("%v: got %v, want an alias", id, stored)
		}
		what := tenant + " " + id.GetKind() + " " + id.GetValue()
		if other, ok := seen[stored.GetValue()]; ok {
			t.Errorf("%s and %s share an alias", what, other)
		}
		seen[stored.GetValue()] = what
	}
	// The two tenants have the same secret: the tenant's name keeps them apart.
	for _, tenant := range []string{"casino", "other"} {
		for _, kind := range []string{"player", "account", "customer", "device"} {
			for _, value := range []string{"1", "11", "1 1", "player"} {
				f(tenant, raw(kind, value))
			}
		}
	}
	game, err := e.Alias("casino", "entity", raw("game", "book"))
	if err != nil || game.GetValue() != "book" || game.GetForm() != pb.Form_FORM_RAW {
		t.Errorf("a kind that is not personal keeps its value: got %v, %v", game, err)
	}
	if _, err := e.Alias("casino", "entity", raw("ip", "x")); err == nil || !strings.HasPrefix(err.Error(), "entity.value: ") {
		t.Errorf("got %v, want a refusal at entity.value", err)
	}
	if _, err := e.Alias("nobody", "entity", raw("ip", "1.1.1.1")); err == nil {
		t.Error("an unknown tenant has aliases")
	}
}

// TestSameThingSameAlias holds that raw and aliased, and every way to write an address, end as one stored message.
func TestSameThingSameAlias(t *testing.T) {
	e := open(t, config(t))
	first := bet()
	accept(t, e, first)
	again := bet()
	again.Entities[0] = proto.CloneOf(first.Entities[0])
	again.Entities[3].Value = "::ffff:2.26.157.9"
	again.GetBetPlaced().Amount.Exponent = proto.Uint32(2)
	again.SchemaVersion, again.Trust = 100, pb.Trust_TRUST_SERVER
	accept(t, e, again)
	if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" {
		t.Errorf("the same event in other words (-first +again):\n%s", diff)
	}
}
