package edge

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "pitboss/proto/pitboss/v1"
)

// customPrefix starts the types that producers name themselves. They carry attributes and no payload.
const customPrefix = "custom."

// eventType is one line of the catalogue: what an event of this type must have beyond the envelope.
type eventType struct {
	// name is the type: bet.placed.
	name string
	// entities are the kinds that the event must name.
	entities []string
	// payload are the payload's fields that must be set.
	payload []string
	// envelope are the envelope's text fields that must be set.
	envelope []string
	// client types are always of TRUST_CLIENT.
	client bool
}

// catalogue is the table of event types, as the comments of event.proto say it (tested).
func catalogue() []eventType {
	player := []string{"player"}
	session := []string{"player", "session"}
	game := []string{"player", "game"}
	round := []string{"player", "round"}
	bonus := []string{"player", "bonus"}
	jackpot := []string{"jackpot"}
	tournament := []string{"player", "tournament"}
	table := []string{"player", "table"}
	hand := []string{"player", "table", "round"}
	return slices.Concat([]eventType{
		{name: "account.registered", entities: player},
		{name: "account.kyc_updated", entities: player},
		{name: "account.detail_changed", entities: player, payload: []string{"field"}},
		{name: "auth.login", entities: player},
		{name: "auth.failed", entities: player},
		{name: "auth.password_reset", entities: player},
		{name: "auth.mfa", entities: player},
		{name: "session.started", entities: session},
		{name: "session.heartbeat", entities: session},
		{name: "session.ended", entities: session},
		{name: "session.env_changed", entities: session, payload: []string{"field"}},
		{name: "player.status", entities: player, payload: []string{"status"}},
		{name: "rg.limit_set", entities: player, payload: []string{"kind"}},
		{name: "rg.self_excluded", entities: player},
		{name: "rg.reality_check", entities: session},
		{name: "game.launched", entities: game},
		{name: "game.closed", entities: game},
		{name: "round.started", entities: []string{"player", "game", "round"}},
		{name: "bet.placed", entities: player, payload: []string{"amount"}},
		{name: "bet.accepted", entities: player, envelope: []string{"transaction_id"}},
		{name: "bet.rejected", entities: player},
		{name: "bet.rolled_back", entities: player, envelope: []string{"reference_transaction_id"}},
		{name: "round.result", entities: round},
		{name: "win.credited", entities: player, payload: []string{"amount"}},
		{name: "round.closed", entities: round},
		{name: "feature.offered", entities: game, payload: []string{"feature_id"}},
		{name: "feature.entered", entities: game, payload: []string{"feature_id"}},
		{name: "feature.bought", entities: game, payload: []string{"feature_id", "price"}},
		{name: "feature.resumed", entities: game, payload: []string{"feature_id"}},
		{name: "feature.finished", entities: game, payload: []string{"feature_id"}},
		{name: "bonus.granted", entities: bonus},
		{name: "bonus.progress", entities: bonus},
		{name: "bonus.released", entities: bonus},
		{name: "bonus.forfeited", entities: bonus},
		{name: "freeround.granted", entities: player, payload: []string{"grant_id"}},
		{name: "freeround.used", entities: player, payload: []string{"grant_id"}},
		{name: "jackpot.contribution", entities: jackpot, payload: []string{"amount"}},
		{name: "jackpot.won", entities: []string{"jackpot", "player"}, payload: []string{"amount"}},
		{name: "jackpot.reset", entities: jackpot},
		{name: "jackpot.meter", entities: jackpot},
		{name: "jackpot.param_changed", entities: jackpot, payload: []string{"field"}},
		{name: "tournament.registered", entities: tournament},
		{name: "tournament.entry", entities: tournament},
		{name: "tournament.score", entities: tournament, payload: []string{"points_delta"}},
		{name: "tournament.rank", entities: tournament, payload: []string{"rank"}},
		{name: "tournament.paid", entities: tournament, payload: []string{"amount"}},
		{name: "tournament.ended", entities: []string{"tournament"}},
		{name: "table.joined", entities: table},
		{name: "table.left", entities: table},
		{name: "hand.action", entities: hand, payload: []string{"action"}},
		{name: "hand.result", entities: hand, payload: []string{"net"}},
		{name: "live.bet_window", entities: []string{"table", "round"}, payload: []string{"opened_at"}},
	}, moneyAndTruth())
}

// moneyAndTruth is the rest of the catalogue: payments, affiliates, what became known, and the client's guard.
func moneyAndTruth() []eventType {
	player := []string{"player"}
	session := []string{"player", "session"}
	amount := []string{"amount"}
	return []eventType{
		{name: "payment.deposit_requested", entities: player, payload: amount},
		{name: "payment.deposit_settled", entities: player, payload: amount},
		{name: "payment.deposit_failed", entities: player},
		{name: "payment.withdrawal_requested", entities: player, payload: amount},
		{name: "payment.withdrawal_approved", entities: player, payload: amount},
		{name: "payment.withdrawal_paid", entities: player},
		{name: "payment.withdrawal_cancelled", entities: player},
		{name: "payment.chargeback", entities: player},
		{name: "payment.refund", entities: player, payload: amount},
		{name: "payment.fraud_report", entities: player},
		{name: "transfer.p2p", entities: []string{"player", counterpartyKind}, payload: []string{"direction", "amount"}},
		{name: "sanctions.checked", entities: player, payload: []string{"decision"}},
		{name: "affiliate.click", entities: []string{"affiliate"}},
		{name: "affiliate.qualified", entities: []string{"player", "affiliate"}},
		{name: "affiliate.commission", entities: []string{"affiliate"}, payload: amount},
		{name: "label.assigned", payload: []string{"target_event_id", "label"}},
		{name: "decision.made", entities: player, payload: []string{"decision_id", "outcome"}},
		{name: "decision.overridden", entities: player, payload: []string{"decision_id", "outcome"}},
		{name: "case.opened", entities: []string{"case"}},
		{name: "case.closed", entities: []string{"case"}, payload: []string{"disposition"}},
		{name: "appeal.resolved", entities: player, payload: []string{"result"}},
		{name: "guard.batch", entities: session, client: true},
		{name: "guard.integrity", entities: session, payload: []string{"asset"}, client: true},
		{name: "guard.challenge", entities: session, payload: []string{"answer"}, client: true},
	}
}

// signedFields are the payload fields that may be negative: everything else counts, lasts or is paid. A name stands for the
// field in every payload, a payload and a name for that one.
func signedFields() map[string]bool {
	return map[string]bool{
		"tz_offset_min": true, "balance_before": true, "balance_after": true, "points_delta": true, "points_total": true,
		"net": true, "offset_us": true, "frame_load_ppm": true, "clock_offset_ms": true, "clock_slope_ppm": true,
		"AffiliateCommission.amount": true,
	}
}

// atMost bounds the integers that are not free, on both sides of 0: a share in millionths cannot pass the whole, a label is
// 0 or 1.
func atMost() map[string]int64 {
	const whole = 1_000_000
	return map[string]int64{
		"confidence_ppm": whole, "match_score_ppm": whole, "score_ppm": whole, "rate_ppm": whole, "frame_load_ppm": whole, "fraud": 1,
	}
}

// digests are the texts that must be digests: anything else could be what was to be kept out of here by digesting it.
// seed_commit_hash and outcome_hash are of the game and of nobody, and were free from the first schema on.
func digests() map[string]bool {
	return map[string]bool{
		"old_hash": true, "new_hash": true, "bundle_hash": true, "expected_hash": true, "actual_hash": true, "features_hash": true,
		"env_hash": true, "prev_hash": true,
	}
}

// words are the texts whose words are all there will be: what a sum means depends on them. All other vocabularies are open,
// since a newer minor schema may add to them.
func words() map[string][]string {
	return map[string][]string{"TransferP2p.direction": {"out", "in"}}
}

// fieldKind is how a payload field is checked.
type fieldKind uint8

const (
	fieldText fieldKind = iota + 1
	fieldInt
	fieldUint
	fieldBool
	fieldMoney
	fieldTime
)

// field is the check of one payload field.
type field struct {
	desc     protoreflect.FieldDescriptor
	kind     fieldKind
	path     string
	required bool
	signed   bool
	// personal text is replaced by its alias.
	personal bool
	// card text is the country of a card.
	card bool
	// text says what more a text must be.
	text textForm
	// words are all that a text may be, where it may not be anything.
	words []string
	most  int64
}

// textForm is what a text must be beyond plain text.
type textForm uint8

const (
	textAny textForm = iota
	// textID names something else: an event, a gesture.
	textID
	// textCountry is an ISO 3166-1 alpha-2 code.
	textCountry
	// textDigest is a digest in hexadecimal or base64.
	textDigest
)

// formOf tells a text's form by its name.
func formOf(name string) textForm {
	switch {
	case strings.HasSuffix(name, "_id"):
		return textID
	case strings.HasSuffix(name, "_cc"):
		return textCountry
	case digests()[name]:
		return textDigest
	}
	return textAny
}

// typePlan is one line of the catalogue, made ready for checking.
type typePlan struct {
	eventType
	payloadField protoreflect.FieldDescriptor
	payloadPath  string
	fields       []field
}

// planTypes makes the plan of every type in the catalogue.
func planTypes() (map[string]*typePlan, error) {
	payloads := payloadOneof()
	plans := make(map[string]*typePlan, payloads.Fields().Len())
	for _, t := range catalogue() {
		name := protoreflect.Name(strings.Replace(t.name, ".", "_", 1))
		desc := payloads.Fields().ByName(name)
		if desc == nil {
			return nil, fmt.Errorf("BUG: event type %q has no payload %q", t.name, name)
		}
		plan := &typePlan{eventType: t, payloadField: desc, payloadPath: "event." + string(name)}
		for i := range desc.Message().Fields().Len() {
			f, err := planField(plan.payloadPath, desc.Message().Fields().Get(i))
			if err != nil {
				return nil, err
			}
			f.required = slices.Contains(t.payload, string(f.desc.Name()))
			plan.fields = append(plan.fields, f)
		}
		plans[t.name] = plan
	}
	if len(plans) != payloads.Fields().Len() {
		return nil, fmt.Errorf("BUG: %d event types in the catalogue, %d payloads in the proto",
			len(plans), payloads.Fields().Len())
	}
	return plans, nil
}

// planField makes the check of one payload field by its proto type.
func planField(parent string, desc protoreflect.FieldDescriptor) (field, error) {
	name := string(desc.Name())
	own := string(desc.Parent().Name()) + "." + name
	f := field{desc: desc, path: parent + "." + name, signed: signedFields()[name] || signedFields()[own], most: atMost()[name],
		text: formOf(name), words: words()[own], personal: own == "AccountRegistered.nickname", card: name == "bin_cc"}
	switch {
	case desc.IsList() || desc.IsMap():
	case desc.Kind() == protoreflect.StringKind:
		f.kind = fieldText
	case desc.Kind() == protoreflect.BoolKind:
		f.kind = fieldBool
	case desc.Kind() == protoreflect.Int32Kind, desc.Kind() == protoreflect.Int64Kind:
		f.kind = fieldInt
	case desc.Kind() == protoreflect.Uint64Kind, desc.Kind() == protoreflect.Uint32Kind:
		f.kind = fieldUint
	case desc.Message() != nil && desc.Message().FullName() == "pitboss.v1.Money":
		f.kind = fieldMoney
	case desc.Message() != nil && desc.Message().FullName() == "google.protobuf.Timestamp":
		f.kind = fieldTime
	}
	if f.kind == 0 {
		return f, fmt.Errorf("BUG: payload field %s has a type that edge cannot check", f.path)
	}
	return f, nil
}

func payloadOneof() protoreflect.OneofDescriptor {
	return (*pb.Event)(nil).ProtoReflect().Descriptor().Oneofs().ByName("payload")
}
