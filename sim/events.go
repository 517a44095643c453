package sim

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
)

// about says which entities an event names, beside player and account.
type about uint8

const (
	aboutVisit about = 1 << iota // device and address
	aboutSession
	aboutGame // game and provider
	aboutInstrument
	aboutBonus
	aboutPartner // who brought the player, where somebody did
)

// The entities of one event, at most.
const maxEntities = 10

// eventBlock holds an event and what it always points to, so that it costs one allocation.
type eventBlock struct {
	told told
	ev   pb.Event
	at   timestamppb.Timestamp
	ids  [maxEntities]pb.Identifier
	refs [maxEntities]*pb.Identifier
}

// news makes an event about a player; the payload is still to be set. All events of all players are made here.
func (s *Sim) news(p *player, at int64, kind string, producer uint8, what about) *eventBlock {
	b := &eventBlock{}
	b.told = told{at: at, ev: &b.ev, producer: producer, truth: p.truth, player: p.idx}
	ev := &b.ev
	ev.Type, ev.SchemaVersion, ev.Tenant, ev.Trust = kind, 100, s.cfg.Tenant, pb.Trust_TRUST_SERVER
	ev.Brand, ev.Jurisdiction = p.brand.name, p.brand.jurisdiction
	ev.OccurredAt = &b.at
	setTime(&b.at, at)
	ids, texts := identifiers{block: b}, p.identifierTexts()
	b.told.name = texts.player.of("p-", p.keys.player)
	ids.add("player", b.told.name)
	ids.add("account", texts.account.of("a-", p.keys.account))
	if what&aboutSession != 0 {
		ids.add("session", texts.session.of("s-", p.session.key))
	}
	if what&aboutVisit != 0 {
		ids.add("device", texts.device.of("d-", p.session.device))
		if texts.ip == "" || texts.address != p.session.address {
			texts.address, texts.ip = p.session.address, addressText(p.session.address)
		}
		ids.add("ip", texts.ip)
	}
	if what&aboutGame != 0 {
		ids.add("game", p.session.game.id)
		ids.add("provider", p.session.game.provider)
	}
	if what&aboutInstrument != 0 {
		ids.addKey("instrument", "i-", p.session.instrument)
	}
	if what&aboutBonus != 0 {
		ids.addKey("bonus", "b-", p.wallet.bonusKey)
	}
	if what&aboutPartner != 0 && p.keys.partner != 0 {
		ids.add("affiliate", partnerText(p.keys.partner))
		ids.addKey("click", "c-", p.keys.click)
	}
	return b
}

// identifiers fills an event's entities.
type identifiers struct {
	block *eventBlock
	n     int
}

func (i *identifiers) add(kind, value string) {
	id := &i.block.ids[i.n]
	id.Kind, id.Value, id.Form = kind, value, pb.Form_FORM_RAW
	i.block.refs[i.n] = id
	i.n++
	i.block.ev.Entities = i.block.refs[:i.n]
}

func (i *identifiers) addKey(kind, prefix string, key uint64) { i.add(kind, keyText(prefix, key)) }

// addRound names the round on an event about a player.
func (b *eventBlock) addRound(p *player, key uint64) {
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.add("round", p.identifierTexts().round.of("r-", key))
}

// texts are the identifiers of a visit as they are written, each for the key that it was made of: most events of a visit
// have the same ones.
type texts struct {
	player, account, session, device, round keyedText
	address                                 uint32
	ip                                      string
}

type keyedText struct {
	key  uint64
	text string
}

func (k *keyedText) of(prefix string, key uint64) string {
	if k.text == "" || k.key != key {
		k.key, k.text = key, keyText(prefix, key)
	}
	return k.text
}

func (p *player) identifierTexts() *texts {
	if p.texts == nil {
		p.texts = &texts{}
	}
	return p.texts
}

// keyText is a prefix and 16 hex digits.
func keyText(prefix string, key uint64) string {
	var buf [24]byte
	out := append(buf[:0], prefix...)
	return string(appendHex(out, key))
}

func appendHex(dst []byte, key uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[key>>shift&0xf])
	}
	return dst
}

// uuid is 128 random bits in the usual form.
func uuid(rng *stream) string {
	var raw [32]byte
	appendHex(appendHex(raw[:0], rng.pcg.Uint64()), rng.pcg.Uint64())
	var buf [36]byte
	out := append(buf[:0], raw[:8]...)
	for _, cut := range [...]int{8, 12, 16} {
		out = append(append(out, '-'), raw[cut:cut+4]...)
	}
	return string(append(append(out, '-'), raw[20:]...))
}

func setTime(t *timestamppb.Timestamp, at int64) {
	t.Seconds, t.Nanos = at/second, int32(at%second*1000)
}

func timeOf(at int64) *timestamppb.Timestamp {
	t := &timestamppb.Timestamp{}
	setTime(t, at)
	return t
}

// money is an amount of the brand's currency. Amounts are taken from slabs, since most events have several.
func (br *brand) money(minor int64) *pb.Money {
	if len(br.slab) == 0 {
		br.slab = make([]pb.Money, 64)
	}
	m := &br.slab[0]
	br.slab = br.slab[1:]
	m.AmountMinor, m.Currency = minor, br.currency
	return m
}

func (p *player) money(minor int64) *pb.Money { return p.brand.money(minor) }

// transaction gives the event a wallet transaction and tells which.
func (b *eventBlock) transaction(p *player) string {
	id := keyText("t-", p.rng.pcg.Uint64())
	b.ev.TransactionId = id
	return id
}
