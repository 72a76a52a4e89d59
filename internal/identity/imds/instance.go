package imds

import (
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Instance is what an instance can read of itself. What is empty is an empty text
// to it, too.
type Instance struct {
	Name        string // as events name it in Resources
	ScaleSet    string
	ID          string // vmId, a GUID: no other instance ever has it
	Image       string
	Version     string // of the image
	Location    string
	Zone        string
	FaultDomain int
	Tags        map[string]string
	Address     netip.Addr // where it listens; the zero value: nowhere yet
	// Renewing: what its own event announced is being done, and the process that asks
	// may be the next one already: it sees no event of its own.
	Renewing bool
}

// field is one of a document's, with the api-version that brought it.
type field struct {
	name  string
	since string
	value any // string, object or []any
}

type object = map[string]any

// atVersion has the fields that a client of this version knows.
func atVersion(version string, fields []field) object {
	o := object{}
	for _, f := range fields {
		if version >= f.since {
			o[f.name] = f.value
		}
	}
	return o
}

const always = "" // as old as what it is in

func metadata(in Instance, version string) object {
	return object{"compute": compute(in, version), "network": network(in)}
}

// compute has all the names that Azure has, so that a program finds what it reads:
// with the instance's facts, with what is true of every instance, or empty.
func compute(in Instance, version string) object {
	return atVersion(version, append(placement(in), []field{
		{"additionalCapabilities", "2021-11-01", object{"hibernationEnabled": "false"}},
		{"azEnvironment", "2018-10-01", ""},
		{"customData", "2019-02-01", ""},
		{"evictionPolicy", "2020-12-01", ""},
		{"extendedLocation", "2021-03-01", object{"name": "", "type": ""}},
		{"isHostCompatibilityLayerVm", "2020-06-01", "false"},
		{"licenseType", "2020-09-01", ""},
		{"name", always, in.Name},
		{"offer", always, in.Image},
		{"osProfile", "2020-07-15", osProfile(in, version)},
		{"osType", always, osType()},
		{"plan", "2018-04-02", object{"name": "", "product": "", "publisher": ""}},
		{"priority", "2020-12-01", "Regular"},
		{"provider", "2018-10-01", "Drover"},
		{"publicKeys", "2018-04-02", []any{}},
		{"publisher", always, ""},
		{"resourceGroupName", "2017-08-01", ""},
		{"resourceId", "2019-03-11", ""},
		{"securityProfile", "2020-06-01", securityProfile(version)},
		{"sku", always, ""},
		{"storageProfile", "2019-06-01", storageProfile(in, version)},
		{"subscriptionId", "2017-08-01", ""},
		{"tags", "2017-08-01", tags(in.Tags)},
		{"tagsList", "2019-06-04", tagsList(in.Tags)},
		{"userData", "2021-01-01", ""},
		{"version", always, in.Version},
		{"virtualMachineScaleSet", "2021-03-01", object{"id": ""}}, // empty for sets of one model on Azure, too
		{"vmId", always, in.ID},
		{"vmScaleSetName", "2017-12-01", in.ScaleSet},
		{"vmSize", always, ""},
	}...))
}

func placement(in Instance) []field {
	return []field{
		{"host", "2021-11-15", object{"id": ""}},
		{"hostGroup", "2021-11-15", object{"id": ""}},
		{"location", always, in.Location},
		{"physicalZone", "2023-11-15", ""},
		{"placementGroupId", "2017-08-01", ""},
		{"platformFaultDomain", always, strconv.Itoa(in.FaultDomain)},
		{"platformSubFaultDomain", "2021-10-01", ""},
		{"platformUpdateDomain", always, "0"},
		{"zone", "2017-12-01", in.Zone},
	}
}

func osType() string {
	return strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]
}

func osProfile(in Instance, version string) object {
	return atVersion(version, []field{
		{"adminUsername", always, ""},
		{"computerName", always, in.Name},
		{"disablePasswordAuthentication", "2020-10-01", ""},
	})
}

func securityProfile(version string) object {
	return atVersion(version, []field{
		{"encryptionAtHost", "2021-11-01", "false"},
		{"secureBootEnabled", always, "false"},
		{"securityType", "2021-12-13", ""},
		{"virtualTpmEnabled", always, "false"},
	})
}

func storageProfile(in Instance, version string) object {
	return atVersion(version, []field{
		{"dataDisks", always, []any{}},
		{"imageReference", always, atVersion(version, []field{
			{"communityGalleryImageId", "2023-07-01", ""},
			{"exactVersion", "2023-07-01", ""},
			{"id", always, ""},
			{"offer", always, in.Image},
			{"publisher", always, ""},
			{"sharedGalleryImageId", "2023-07-01", ""},
			{"sku", always, ""},
			{"version", always, in.Version},
		})},
		{"osDisk", always, object{
			"caching": "", "createOption": "FromImage", "diffDiskSettings": object{"option": ""}, "diskSizeGB": "",
			"encryptionSettings": object{"enabled": "false"}, "image": object{"uri": ""},
			"managedDisk": object{"id": "", "storageAccountType": ""}, "name": "", "osType": osType(),
			"vhd": object{"uri": ""}, "writeAcceleratorEnabled": "false",
		}},
		{"resourceDisk", "2021-02-01", object{"size": "0"}},
	})
}

func network(in Instance) object {
	v4, v6 := []any{}, []any{}
	switch at := in.Address.Unmap(); {
	case !at.IsValid():
		return object{"interface": []any{}}
	case at.Is4():
		v4 = append(v4, object{"privateIpAddress": at.String(), "publicIpAddress": ""})
	default:
		v6 = append(v6, object{"privateIpAddress": at.String()})
	}
	return object{"interface": []any{object{
		"ipv4":       object{"ipAddress": v4, "subnet": []any{object{"address": "", "prefix": ""}}},
		"ipv6":       object{"ipAddress": v6},
		"macAddress": "",
	}}}
}

func tags(all map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pairs = append(pairs, name+":"+all[name])
	}
	return strings.Join(pairs, ";")
}

func tagsList(all map[string]string) []any {
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, object{"name": name, "value": all[name]})
	}
	return list
}
