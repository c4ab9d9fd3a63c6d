BEGIN TRANSACTION;
CREATE TABLE build_lines (
	build VARCHAR(32) NOT NULL, 
	n INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (build, n), 
	FOREIGN KEY(build) REFERENCES builds (id)
);
CREATE TABLE builds (
	id VARCHAR(32) NOT NULL, 
	module VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	"order" JSON NOT NULL, 
	error JSON, 
	created DOUBLE NOT NULL, 
	finished DOUBLE, 
	PRIMARY KEY (id)
);
CREATE TABLE counters (
	kind VARCHAR(32) NOT NULL, 
	name VARCHAR(127) NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (kind, name)
);
INSERT INTO "counters" VALUES('schema','',1);
INSERT INTO "counters" VALUES('model','face',1);
CREATE TABLE deployment_devices (
	name VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	device VARCHAR(63) NOT NULL, 
	PRIMARY KEY (name, version, device), 
	FOREIGN KEY(name, version) REFERENCES deployments (name, version), 
	FOREIGN KEY(device) REFERENCES devices (id)
);
CREATE TABLE deployment_modules (
	name VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	module VARCHAR(63) NOT NULL, 
	module_version INTEGER NOT NULL, 
	PRIMARY KEY (name, version, module, module_version), 
	FOREIGN KEY(name, version) REFERENCES deployments (name, version), 
	FOREIGN KEY(module, module_version) REFERENCES modules (name, version)
);
CREATE TABLE deployments (
	name VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	push BIGINT NOT NULL, 
	description TEXT NOT NULL, 
	text TEXT NOT NULL, 
	manifest JSON NOT NULL, 
	created DOUBLE NOT NULL, 
	PRIMARY KEY (name, version), 
	UNIQUE (push)
);
CREATE TABLE device_desired (
	device VARCHAR(63) NOT NULL, 
	version BIGINT NOT NULL, 
	deployment VARCHAR(80) NOT NULL, 
	platform VARCHAR(63) NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (device), 
	FOREIGN KEY(device) REFERENCES devices (id)
);
CREATE TABLE device_messages (
	device VARCHAR(63) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	body JSON NOT NULL, 
	received DOUBLE NOT NULL, 
	PRIMARY KEY (device, kind), 
	FOREIGN KEY(device) REFERENCES devices (id)
);
CREATE TABLE devices (
	id VARCHAR(63) NOT NULL, 
	tags JSON NOT NULL, 
	token_hash VARCHAR(64), 
	created DOUBLE NOT NULL, 
	error JSON, 
	PRIMARY KEY (id), 
	UNIQUE (token_hash)
);
INSERT INTO "devices" VALUES('cam','{}',NULL,2.0,NULL);
CREATE TABLE model_files (
	model VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	path VARCHAR(1024) NOT NULL, 
	digest VARCHAR(71) NOT NULL, 
	size BIGINT NOT NULL, 
	PRIMARY KEY (model, version, path), 
	FOREIGN KEY(model, version) REFERENCES models (name, version)
);
INSERT INTO "model_files" VALUES('face',1,'model.tflite','sha256:abababababababababababababababababababababababababababababababab',7);
CREATE TABLE models (
	name VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	description TEXT NOT NULL, 
	tags JSON NOT NULL, 
	properties JSON NOT NULL, 
	framework TEXT NOT NULL, 
	framework_version TEXT NOT NULL, 
	created DOUBLE NOT NULL, 
	PRIMARY KEY (name, version)
);
INSERT INTO "models" VALUES('face',1,'','{"site": "lisbon"}','{}','TFLite','2.14',1.5);
CREATE TABLE module_images (
	module VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	platform VARCHAR(63) NOT NULL, 
	digest VARCHAR(71) NOT NULL, 
	size BIGINT NOT NULL, 
	layers JSON NOT NULL, 
	PRIMARY KEY (module, version, platform), 
	FOREIGN KEY(module, version) REFERENCES modules (name, version)
);
CREATE TABLE module_models (
	module VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	model VARCHAR(63) NOT NULL, 
	model_version INTEGER NOT NULL, 
	PRIMARY KEY (module, version, position), 
	FOREIGN KEY(module, version) REFERENCES modules (name, version), 
	FOREIGN KEY(model, model_version) REFERENCES models (name, version)
);
CREATE TABLE modules (
	name VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	entry_script TEXT NOT NULL, 
	environment TEXT NOT NULL, 
	created DOUBLE NOT NULL, 
	PRIMARY KEY (name, version)
);
CREATE TABLE positions (
	device VARCHAR(63) NOT NULL, 
	boot VARCHAR(32) NOT NULL, 
	stream VARCHAR(127) NOT NULL, 
	through BIGINT NOT NULL, 
	above JSON NOT NULL, 
	lost BIGINT NOT NULL, 
	updated DOUBLE NOT NULL, 
	PRIMARY KEY (device, boot, stream), 
	FOREIGN KEY(device) REFERENCES devices (id)
);
CREATE TABLE removed_devices (
	id VARCHAR(63) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE telemetry (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	device VARCHAR(63) NOT NULL, 
	boot VARCHAR(32) NOT NULL, 
	stream VARCHAR(127) NOT NULL, 
	seq BIGINT NOT NULL, 
	ts VARCHAR(40) NOT NULL, 
	hist BOOLEAN NOT NULL, 
	data TEXT NOT NULL, 
	received DOUBLE NOT NULL
);
INSERT INTO "telemetry" VALUES(1,'cam','b1','m/s',1,'t',0,'1',3.0);
CREATE INDEX ix_builds_state ON builds (state);
CREATE UNIQUE INDEX telemetry_once ON telemetry (device, boot, stream, seq);
CREATE INDEX telemetry_by_stream ON telemetry (device, stream, id);
CREATE INDEX ix_module_images_digest ON module_images (digest);
CREATE INDEX ix_deployment_devices_device ON deployment_devices (device);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('telemetry',1);
COMMIT;
