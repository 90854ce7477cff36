package topology

import (
	"encoding/json"
	"maps"
	"reflect"
	"strconv"
	"strings"
)

// Schema is the JSON Schema (draft-07) of topology files, for editors. It is made from the types that files are decoded
// with. Names that entries refer to each other by, and what else needs the whole file, are for Load to check.
func Schema() []byte {
	s := structSchema(&file{})
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = "cdnlab topology"
	s["definitions"] = object{"location": locationSchema()}
	s["required"] = []string{"origins", "edges"}
	return marshal(s)
}

// ExperimentSchema is that of experiment files.
func ExperimentSchema() []byte {
	s := structSchema(&experimentFile{})
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = "cdnlab experiment"
	s["required"] = []string{"load"}
	return marshal(s)
}

func marshal(s object) []byte {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("topology: JSON Schema: " + err.Error())
	}
	return append(data, '\n')
}

// schemaOf describes what v, a pointer to a type of the schema, is decoded from.
func schemaOf(v any, tag reflect.StructTag) object {
	switch v := v.(type) {
	case custom:
		return v.customSchema()
	case leaf:
		return leafSchema(v, tag)
	case tabular:
		key, value := v.shape()
		return object{"type": []string{"object", "null"}, "propertyNames": key.schema(), "additionalProperties": schemaOf(value, "")}
	case listed:
		s := object{"type": "array", "items": schemaOf(v.shape(), "")}
		if n, err := strconv.Atoi(tag.Get("items")); err == nil {
			s["minItems"], s["maxItems"] = n, n
		}
		return s
	default:
		return structSchema(v)
	}
}

func structSchema(v any) object {
	t := reflect.TypeOf(v).Elem()
	properties, required := object{}, []string{}
	for _, k := range keySpecs(t) {
		if k.later() != "" {
			continue
		}
		p := schemaOf(reflect.New(t.Field(k.index).Type).Interface(), k.tag)
		if _, isRef := p["$ref"]; isRef { // draft-07 ignores what stands beside a $ref
			p = object{"allOf": []object{p}}
		}
		p["description"] = describe(k.tag, p)
		properties[k.name] = p
		if k.tag.Get("need") != "" {
			required = append(required, k.name)
		}
	}
	s := object{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["type"], s["required"] = "object", required
	}
	return s
}

// leafSchema adds the default and the bounds of a key to the spelling of its value.
func leafSchema(v leaf, tag reflect.StructTag) object {
	s := maps.Clone(v.schema())
	numeric := s["type"] == "integer" || s["type"] == "number"
	for from, to := range map[string]string{"default": "default", "min": "minimum", "max": "maximum"} {
		text, ok := tag.Lookup(from)
		switch {
		case !ok:
		case numeric:
			s[to] = json.Number(text)
		case from == "default":
			s[to] = text
		}
	}
	return s
}

// describe is the doc of a key, with the bounds that the schema cannot express otherwise.
func describe(tag reflect.StructTag, s object) string {
	doc := tag.Get("doc")
	lowest, highest := tag.Get("min"), tag.Get("max")
	switch {
	case s["minimum"] != nil && s["pattern"] == nil:
	case lowest != "" && highest != "":
		doc += " From " + lowest + " to " + highest + "."
	case highest != "":
		doc += " At most " + highest + "."
	}
	return strings.TrimSpace(doc)
}
