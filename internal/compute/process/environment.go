package process

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/disk"
	"github.com/droverhq/drover/internal/resource"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is all that the program gets: Drover's variables, the image's,
// the set's, each over the ones before. Those that say where the instance
// listens and who it is stay Drover's: an image's PORT is of another place.
func (d *Driver) environment(spec compute.Spec, img disk.Disk) []string {
	data, tmp := d.disk(spec.Name), d.tmp(spec.Name)
	if img.Root == resource.RootImage {
		tmp = "/tmp"
	}
	env := variables{values: map[string]string{}}
	for _, v := range []string{"PATH=" + defaultPath, "HOME=" + data, "TMPDIR=" + tmp, "LANG=C.UTF-8"} {
		env.set(v)
	}
	for _, v := range img.Env {
		env.set(v)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Model.Env)) {
		env.set(name + "=" + spec.Model.Env[name])
	}
	for _, v := range []string{
		dataVariable + data, "PORT=" + strconv.Itoa(spec.Port), "DROVER_INSTANCE=" + spec.Name,
		"DROVER_SCALE_SET=" + spec.Set, "DROVER_VERSION=" + spec.Model.Version,
	} {
		env.set(v)
	}
	if d.imds != nil {
		env.set("IMDS_ENDPOINT=" + d.imds(spec.Name))
	}
	return env.list()
}

// dataVariable with the data folder's path marks the processes of an instance
// where no cgroup does.
const dataVariable = "DATA_DIR="

// variables keep the order in which names came first and the value that came last.
type variables struct {
	order  []string
	values map[string]string
}

func (v *variables) set(variable string) {
	name, value, ok := strings.Cut(variable, "=")
	if !ok || name == "" || strings.ContainsRune(variable, 0) {
		return
	}
	if _, known := v.values[name]; !known {
		v.order = append(v.order, name)
	}
	v.values[name] = value
}

func (v *variables) list() []string {
	list := make([]string, len(v.order))
	for i, name := range v.order {
		list[i] = name + "=" + v.values[name]
	}
	return list
}

// arguments are the program and its arguments: the set's command stands for both
// the image's Entrypoint and its Cmd.
func arguments(spec compute.Spec, img disk.Disk) []string {
	if len(spec.Model.Command) > 0 {
		return spec.Model.Command
	}
	return slices.Concat(img.Entrypoint, img.Cmd)
}
