package imds_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/identity/imds"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sortedNames(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// TestInstanceDocuments compares whole documents. What is on disk was compared by
// eye with the tables of Azure's pages.
func TestInstanceDocuments(t *testing.T) {
	h := imds.New(imds.Options{Source: newSource()})
	for _, version := range []string{"2017-04-02", "2018-10-01", "2020-09-01", "2021-05-01", "2025-04-07"} {
		w := get(h, "/metadata/instance?api-version="+version)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
			t.Fatalf("%s: %d %v", version, w.Code, w.Header())
		}
		var got bytes.Buffer
		if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
		file := filepath.Join("testdata", "instance-"+version+".json")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		system := strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]
		want = bytes.ReplaceAll(want, []byte(`"osType": "Linux"`), []byte(`"osType": "`+system+`"`))
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s differs from %s:\n%s", version, file, got.String())
		}
	}
}

// TestInstanceVersionsGrow: a version keeps what older ones had, and every value,
// known or not, is a text.
func TestInstanceVersionsGrow(t *testing.T) {
	source := newSource()
	source.instances["bare"] = imds.Instance{Name: "bare_0", ScaleSet: "bare"}
	h := imds.New(imds.Options{Source: source, Rate: 1e6})
	var list struct{ APIVersions []string }
	if err := json.Unmarshal(get(h, "/metadata/versions").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(list.APIVersions) {
		t.Fatalf("not oldest first: %v", list.APIVersions)
	}
	for _, secret := range []string{secret0, "bare"} {
		var before []string
		for _, version := range list.APIVersions {
			w := ask(h, "GET", "/"+secret+"/metadata/instance?api-version="+version, "", "Metadata: true")
			var doc map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
				t.Fatalf("%s: %v: %s", version, err, w.Body)
			}
			if names := sortedNames(doc); !slices.Equal(names, []string{"compute", "network"}) {
				t.Fatalf("%s: %v", version, names)
			}
			requireTexts(t, version, doc)
			now := sortedNames(doc["compute"].(map[string]any))
			for _, name := range before {
				if !slices.Contains(now, name) {
					t.Errorf("%s has no %s any more", version, name)
				}
			}
			before = now
		}
	}
}

func requireTexts(t *testing.T, at string, node any) {
	t.Helper()
	switch n := node.(type) {
	case string:
	case map[string]any:
		for name, value := range n {
			requireTexts(t, at+"/"+name, value)
		}
	case []any:
		for _, value := range n {
			requireTexts(t, at+"/", value)
		}
	default:
		t.Errorf("%s is %T", at, node)
	}
}

// TestFieldsOfTheContract: what the version 2021-05-01 has, and what came later.
func TestFieldsOfTheContract(t *testing.T) {
	h := imds.New(imds.Options{Source: newSource()})
	var compute map[string]any
	if err := json.Unmarshal(get(h, "/metadata/instance/compute?api-version=2021-05-01").Body.Bytes(), &compute); err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(`azEnvironment location name offer publisher sku version osType osProfile placementGroupId plan
		platformFaultDomain platformUpdateDomain priority provider publicKeys resourceGroupName resourceId securityProfile storageProfile
		subscriptionId tags tagsList userData virtualMachineScaleSet vmId vmScaleSetName vmSize zone evictionPolicy licenseType
		isHostCompatibilityLayerVm extendedLocation customData`)
	slices.Sort(want)
	if got := sortedNames(compute); !slices.Equal(got, want) {
		t.Fatalf("compute has %v\nwant %v", got, want)
	}
}

func TestPaths(t *testing.T) {
	const (
		at      = "?api-version=2021-05-01"
		asText  = at + "&format=text"
		needed  = `{"error":"Bad request. format=text is required for a value without parts"}`
		formats = `{"error":"Bad request. format is json or text"}`
	)
	h := imds.New(imds.Options{Source: newSource()})
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/compute/name" + asText, 200, "set_0"},
		{"/compute/name/" + asText, 200, "set_0"},
		{"/Compute/NAME" + asText, 200, "set_0"},
		{"/compute/name" + at + "&Format=TEXT", 200, "set_0"},
		{"/compute/name" + at, 400, needed},
		{"/compute/name" + at + "&format=json", 400, needed},
		{"/compute/name" + at + "&format=", 400, needed},
		{"/compute/vmId" + asText, 200, "02aab8a4-74ef-476e-8182-f6d2ba4166a6"},
		{"/compute/vmScaleSetName" + asText, 200, "set"},
		{"/compute/version" + asText, 200, "2.0.0"},
		{"/compute/platformFaultDomain" + asText, 200, "3"},
		{"/compute/tags" + asText, 200, "baz:<b>&;foo:bar"},
		{"/compute/userData" + asText, 200, ""}, // missing is empty, not 404
		{"/compute/userData" + at, 400, needed},
		{"/compute/tagsList" + at, 200, `[{"name":"baz","value":"<b>&"},{"name":"foo","value":"bar"}]`},
		{"/compute/tagsList/1" + at, 200, `{"name":"foo","value":"bar"}`},
		{"/compute/tagsList/1/value" + asText, 200, "bar"},
		{"/compute/plan" + at, 200, `{"name":"","product":"","publisher":""}`},
		{"/compute/publicKeys" + at + "&format=json", 200, `[]`},
		{"/network/interface/0/ipv4/ipAddress/0/privateIpAddress" + asText, 200, "127.0.0.1"},
		{"/network/interface/0/ipv4" + at, 200, `{"ipAddress":[{"privateIpAddress":"127.0.0.1","publicIpAddress":""}],"subnet":[{"address":"","prefix":""}]}`},
		{asText, 200, "compute/\nnetwork/"},
		{"/" + asText, 200, "compute/\nnetwork/"},
		{"/network/interface" + asText, 200, "0/"},
		{"/network/interface/0" + asText, 200, "ipv4/\nipv6/\nmacAddress"},
		{"/compute/publicKeys" + asText, 200, ""},
		{at + "&format=xml", 400, formats},
		{"/compute/nothing" + at, 404, notFound},
		{"/compute//name" + asText, 404, notFound},
		{"/compute/name/first" + asText, 404, notFound},
		{"/network/interface/1" + at, 404, notFound},
		{"/network/interface/-1" + at, 404, notFound},
		{"/network/interface/+0" + at, 404, notFound},
		{"/network/interface/00" + at, 404, notFound},
		{"/network/interface/99999999999999999999" + at, 404, notFound},
		{"/compute/tagsList" + "?api-version=2019-06-01", 404, notFound}, // came with 2019-06-04
		{"/compute/physicalZone" + asText, 404, notFound},
	} {
		w := get(h, "/metadata/instance"+c.path)
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.path, w.Code, w.Body, c.status, c.body)
		}
		wantType := "application/json; charset=utf-8"
		if c.status == 200 && strings.Contains(strings.ToLower(c.path), "format=text") {
			wantType = "text/plain; charset=utf-8"
		}
		if got := w.Header().Get("Content-Type"); got != wantType {
			t.Errorf("%s: Content-Type %q, want %q", c.path, got, wantType)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"":          `{"interface":[]}`,
		"::1":       `{"interface":[{"ipv4":{"ipAddress":[],"subnet":[{"address":"","prefix":""}]},"ipv6":{"ipAddress":[{"privateIpAddress":"::1"}]},"macAddress":""}]}`,
		"127.0.0.2": `{"interface":[{"ipv4":{"ipAddress":[{"privateIpAddress":"127.0.0.2","publicIpAddress":""}],"subnet":[{"address":"","prefix":""}]},"ipv6":{"ipAddress":[]},"macAddress":""}]}`,
	} {
		s := newSource()
		in := sample(0)
		in.Address, _ = netip.ParseAddr(address)
		s.instances[secret0] = in
		requireAnswer(t, get(imds.New(imds.Options{Source: s}), "/metadata/instance/network?api-version=2021-05-01"), 200, want)
	}
}

// FuzzPath walks wherever it is sent: an answer, the same for a path and its
// listing, never a failure of the server.
func FuzzPath(f *testing.F) {
	f.Add("compute/name", "text")
	f.Add("network/interface/0/ipv4/ipAddress/0", "json")
	f.Add("compute/tagsList/1/value", "")
	f.Add("//..//%2e", "xml")
	f.Add("network/interface/18446744073709551616", "text")
	h := imds.New(imds.Options{Source: newSource(), Rate: 1e12})
	f.Fuzz(func(t *testing.T, path, format string) {
		r := request(t, "/"+secret0+"/metadata/instance/"+path, map[string]string{"api-version": "2021-05-01", "format": format})
		w := answer(h, r)
		switch {
		case w.Code == 200 && strings.EqualFold(format, "text"):
		case w.Code == 200, w.Code == 400, w.Code == 404:
			if !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%q %q: %d %q", path, format, w.Code, w.Body)
			}
		default:
			t.Fatalf("%q %q: %d %q", path, format, w.Code, w.Body)
		}
	})
}
