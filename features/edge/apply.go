package edge

import (
	"net/netip"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
)

// apply writes into the message what check found out: normal forms, enrichment, money in the base currency, and aliases
// in place of raw values. It cannot fail.
func (c *checker) apply() {
	m := c.msg
	if m.GetSchemaVersion() == 0 {
		m.SchemaVersion = 100
	}
	if m.GetTrust() == pb.Trust_TRUST_UNSPECIFIED {
		m.Trust = pb.Trust_TRUST_SERVER
		if c.plan != nil && c.plan.client {
			m.Trust = pb.Trust_TRUST_CLIENT
		}
	}
	m.OccurredAt.Nanos -= m.OccurredAt.Nanos % 1000
	m.ReceivedAt = timestamppb.New(c.receivedAt)
	for i := range c.money {
		done := &c.money[i]
		done.money.Exponent = new(done.exponent)
		done.money.BaseMinor = new(done.base)
	}
	m.Enrichment = c.enrich()
	for i := range c.entities {
		ent := &c.entities[i]
		ent.id.Value, ent.id.Form = c.tenant.stored(ent), ent.storedForm()
	}
	c.keepUnknown()
}

// stored gives the value that is kept of an entity.
func (t *tenant) stored(ent *entity) string {
	if !ent.personal {
		return ent.value
	}
	kind := ent.id.GetKind()
	if kind == counterpartyKind { // is a player by another name: what links the two sides of a transfer is that the aliases are one
		kind = "player"
	}
	return t.key.alias(kind, ent.value)
}

// counterpartyKind is the kind of the other player of an event of two.
const counterpartyKind = "counterparty"

// enrich derives what hashing destroys. It takes the raw nickname out.
func (c *checker) enrich() *pb.Enrichment {
	en := &pb.Enrichment{AliasKeyId: c.tenant.key.id}
	if len(c.money) > 0 {
		en.RatesVersion = c.tenant.rates.version
	}
	for i := range c.entities {
		ent := &c.entities[i]
		en.ListHits = c.tenant.lists.hits(en.ListHits, ent.id.GetKind(), ent.id.GetForm(), ent.value, ent.addr)
	}
	c.enrichAddress(en)
	if c.enrichCountries(en) {
		en.AddressVersion = c.edge.book.version
	}
	c.enrichNickname(en)
	return en
}

// enrichAddress derives network, AS number, country and class of the event's address. An AS number that the producer
// names goes before the database's.
func (c *checker) enrichAddress(en *pb.Enrichment) {
	ip, asn := c.find("ip"), c.find("asn")
	known := place{}
	if asn != nil {
		known.asn = asn.asn
	}
	if ip != nil && ip.addr.IsValid() {
		if c.find("ip24") == nil {
			c.derive(en, "ip24", networkOf(ip.addr).String())
		}
		found := c.edge.book.place(ip.addr)
		en.Country = found.country
		if asn == nil && found.asn != 0 {
			known.asn = found.asn
			c.derive(en, "asn", strconv.FormatUint(uint64(found.asn), 10))
		}
	} else if known.asn == 0 {
		return
	}
	addr := netip.Addr{}
	if ip != nil {
		addr = ip.addr
	}
	en.AddressClass = c.edge.book.class(addr, known.asn)
	if known.asn != 0 {
		en.AsnClass = c.edge.book.asnClass(known.asn)
	}
	en.AddressVersion = c.edge.book.version
}

// derive adds an entity that the event does not name itself.
func (c *checker) derive(en *pb.Enrichment, kindName, raw string) {
	kind, _ := c.edge.kinds.Get(kindName)
	id := &pb.Identifier{Kind: kindName, Value: raw, Form: pb.Form_FORM_RAW}
	en.ListHits = c.tenant.lists.hits(en.ListHits, kindName, pb.Form_FORM_RAW, raw, netip.Addr{})
	ent := entity{id: id, value: raw, personal: kind.Personal}
	id.Value, id.Form = c.tenant.stored(&ent), ent.storedForm()
	en.Derived = append(en.Derived, id)
}

// enrichNickname replaces the nickname by the alias of what it looks like.
func (c *checker) enrichNickname(en *pb.Enrichment) {
	registered := c.msg.GetAccountRegistered()
	if registered.GetNickname() == "" {
		return
	}
	look := c.edge.looks.skeleton(registered.GetNickname())
	registered.Nickname = ""
	en.ListHits = c.tenant.lists.hits(en.ListHits, nicknameList, pb.Form_FORM_RAW, look, netip.Addr{})
	en.NicknameSkeleton, en.NicknameVersion = c.tenant.key.alias(nicknameKind, look), c.edge.looks.version
}

// find gives the event's entity of a kind, nil where it names none.
func (c *checker) find(kind string) *entity {
	for i := range c.entities {
		if c.entities[i].id.GetKind() == kind {
			return &c.entities[i]
		}
	}
	return nil
}
