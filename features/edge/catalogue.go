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

// catalogue is the table of event types, as the comments of event.proto say it. Every member of Event.payload has a
// line (tested).
func catalogue() []eventType {
	player := []string{"player"}
	session := []string{"player", "session"}
	round := []string{"player", "round"}
	bonus := []string{"player", "bonus"}
	amount := []string{"amount"}
	return []eventType{
		{name: "account.registered", entities: player},
		{name: "auth.login", entities: player},
		{name: "auth.failed", entities: player},
		{name: "session.started", entities: session},
		{name: "session.heartbeat", entities: session},
		{name: "session.ended", entities: session},
		{name: "session.env_changed", entities: session, payload: []string{"field"}},
		{name: "game.launched", entities: []string{"player", "game"}},
		{name: "game.closed", entities: []string{"player", "game"}},
		{name: "round.started", entities: []string{"player", "game", "round"}},
		{name: "bet.placed", entities: player, payload: amount},
		{name: "bet.rejected", entities: player},
		{name: "bet.rolled_back", entities: player, envelope: []string{"reference_transaction_id"}},
		{name: "round.result", entities: round},
		{name: "win.credited", entities: player, payload: amount},
		{name: "round.closed", entities: round},
		{name: "bonus.granted", entities: bonus},
		{name: "bonus.progress", entities: bonus},
		{name: "bonus.released", entities: bonus},
		{name: "bonus.forfeited", entities: bonus},
		{name: "payment.deposit_requested", entities: player, payload: amount},
		{name: "payment.deposit_settled", entities: player, payload: amount},
		{name: "payment.deposit_failed", entities: player},
		{name: "payment.withdrawal_requested", entities: player, payload: amount},
		{name: "payment.withdrawal_paid", entities: player, payload: amount},
		{name: "payment.withdrawal_cancelled", entities: player},
		{name: "payment.chargeback", entities: player},
		{name: "label.assigned", payload: []string{"target_event_id", "label"}},
		{name: "guard.batch", entities: session, client: true},
	}
}

// signedFields are the payload fields that may be negative: everything else counts, lasts or is paid.
func signedFields() map[string]bool {
	return map[string]bool{"tz_offset_min": true, "balance_before": true, "balance_after": true}
}

// atMost bounds the integers that are not free: a share in millionths cannot pass the whole, a label is 0 or 1.
func atMost() map[string]int64 {
	return map[string]int64{"confidence_ppm": 1_000_000, "fraud": 1}
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
	// id text names something else: an event, a gesture.
	id   bool
	most int64
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
	f := field{desc: desc, path: parent + "." + name, signed: signedFields()[name], most: atMost()[name],
		id: strings.HasSuffix(name, "_id"), personal: desc.FullName() == "pitboss.v1.AccountRegistered.nickname"}
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
