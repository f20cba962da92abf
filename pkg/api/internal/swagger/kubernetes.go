package main

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// roots are the Kubernetes messages that our messages name.
var roots = []reflect.Type{
	reflect.TypeFor[corev1.ConfigMap](),
	reflect.TypeFor[corev1.PodLogOptions](),
	reflect.TypeFor[corev1.PodSpec](),
	reflect.TypeFor[corev1.ResourceRequirements](),
	reflect.TypeFor[corev1.Service](),
	reflect.TypeFor[corev1.ServiceSpec](),
	reflect.TypeFor[corev1.Taint](),
	reflect.TypeFor[networkingv1.Ingress](),
	reflect.TypeFor[networkingv1.IngressSpec](),
}

// intOrString is how Kubernetes marks what is a string or a number, in schemas
// that can name only one type and so name none.
const intOrString = "x-kubernetes-int-or-string"

// leaves are types whose JSON is not that of their fields.
var leaves = map[reflect.Type]object{
	reflect.TypeFor[resource.Quantity]():    {intOrString: true, "description": "A Kubernetes quantity as a string or a number, such as 120m, 2 or 512Mi."},
	reflect.TypeFor[intstr.IntOrString]():   {intOrString: true, "format": "int-or-string", "description": "A number or a name."},
	reflect.TypeFor[metav1.Time]():          {"type": "string", "format": "date-time"},
	reflect.TypeFor[metav1.MicroTime]():     {"type": "string", "format": "date-time"},
	reflect.TypeFor[metav1.FieldsV1]():      {"type": "object"},
	reflect.TypeFor[runtime.RawExtension](): {"type": "object"},
}

// kubernetesSchemas makes schemas of Go types and keeps those that are named.
type kubernetesSchemas struct {
	definitions object
	done        map[reflect.Type]string
}

// describeKubernetes replaces the definitions of Kubernetes' messages by what
// their JSON is.
func describeKubernetes(definitions object) {
	k := kubernetesSchemas{definitions: definitions, done: map[reflect.Type]string{}}
	definitions["resourceQuantity"] = leaves[reflect.TypeFor[resource.Quantity]()]
	for _, t := range roots {
		k.schema(t)
	}
}

// schema is a reference for structs, otherwise the schema itself.
func (k kubernetesSchemas) schema(t reflect.Type) object {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if leaf, ok := leaves[t]; ok {
		return clone(leaf)
	}
	switch t.Kind() {
	case reflect.Struct:
		return object{"$ref": definitionPrefix + k.define(t)}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "format": "byte"}
		}
		return object{"type": "array", "items": k.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": k.schema(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int32:
		return object{"type": "integer", "format": "int32"}
	case reflect.Int64, reflect.Int:
		return object{"type": "integer", "format": "int64"}
	default:
		return object{"type": "string"}
	}
}

// define makes the definition of a struct, once, and answers its name.
func (k kubernetesSchemas) define(t reflect.Type) string {
	if name, ok := k.done[t]; ok {
		return name
	}
	name := k.nameOf(t)
	k.done[t] = name
	properties := object{}
	k.members(t, properties)
	definition := object{"type": "object", "properties": properties}
	if text := documentation(t)[""]; text != "" {
		definition["description"] = text
	}
	k.definitions[name] = definition
	return name
}

// nameOf is the name that the generator gave the message: the shortest part of
// its full name that no other message has.
func (k kubernetesSchemas) nameOf(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	version, group := parts[len(parts)-1], parts[len(parts)-2]
	long := group + strings.ToUpper(version[:1]) + version[1:] + t.Name()
	if _, taken := k.definitions[long]; taken {
		return long
	}
	return version + t.Name()
}

// members adds the properties of a struct, and those of structs inlined in it.
func (k kubernetesSchemas) members(t reflect.Type, properties object) {
	texts := documentation(t)
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case name == "" && field.Anonymous:
			inner := field.Type
			for inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			k.members(inner, properties)
		default:
			if name == "" {
				name = field.Name
			}
			schema := k.schema(field.Type)
			if text := texts[name]; text != "" {
				schema["description"] = text
			}
			properties[name] = schema
		}
	}
}

// documentation is what Kubernetes says about a type and, by name, its members.
func documentation(t reflect.Type) map[string]string {
	if documented, ok := reflect.Zero(t).Interface().(interface{ SwaggerDoc() map[string]string }); ok {
		return documented.SwaggerDoc()
	}
	return nil
}

func clone(o object) object {
	c := object{}
	for name, value := range o {
		c[name] = value
	}
	return c
}
