"""Every public name of Azure ML's SDK is here: it works, or says what to do instead."""

import inspect
from collections.abc import Callable

import pytest

import skerry
from skerry import webservice
from skerry.conda_dependencies import CondaDependencies
from skerry.elsewhere import CLASSES, Elsewhere
from skerry.environment import Environment
from skerry.inference import InferenceConfig
from skerry.model import Model
from skerry.package import ModelPackage
from skerry.webservice import EdgeModule, LocalWebservice, Webservice
from skerry.workspace import Workspace
from skerry_contract.errors import NotFoundError

# Of azureml-core 1.61.
NAMES: dict[type, str] = {
    Model: """
        register get_model_path download list serialize deserialize update add_tags
        remove_tags update_tags_properties add_properties add_dataset_references
        delete print_configuration deploy package profile get_sas_urls created_by
        created_time datasets derived_model_ids description experiment_name id
        model_framework model_framework_version name parent_id properties
        resource_configuration run_id sample_input_dataset sample_output_dataset
        tags url version
    """,
    ModelPackage: """
        get_container_registry get_logs pull save update_creation_state
        wait_for_creation serialize state location
    """,
    InferenceConfig: """
        validate_configuration
    """,
    Webservice: """
        deploy deploy_from_image deploy_from_model deploy_local_from_model get_keys
        get_token list regen_key update_deployment_state wait_for_deployment delete
        deserialize
    """,
    LocalWebservice: """
        delete deploy_configuration deploy_to_cloud get_logs reload run serialize
        update wait_for_deployment port scoring_uri swagger_uri state error
        compute_type created_time
    """,
    EdgeModule: """
        run get_logs update serialize delete wait_for_deployment state error
    """,
    Environment: """
        register label clone get list from_dockerfile from_docker_image build
        build_local from_docker_build_context from_conda_specification
        from_existing_conda_environment from_pip_requirements add_private_pip_wheel
        get_image_details save_to_directory load_from_directory
    """,
    CondaDependencies: """
        create merge_requirements sdk_origin_url set_pip_index_url add_channel
        get_default_number_of_packages get_python_version set_python_version
        remove_channel add_conda_package remove_conda_package add_pip_package
        set_pip_option remove_pip_option remove_pip_package set_pip_requirements
        add_cntk_package add_tensorflow_pip_package add_tensorflow_conda_package
        save_to_file save serialize_to_string as_dict conda_channels conda_packages
        pip_options pip_packages
    """,
    Workspace: """
        from_config create get list write_config delete get_details get_run update
        models get_mlflow_tracking_uri get_default_compute_target
        get_default_datastore set_default_datastore get_default_keyvault
        compute_targets datasets datastores environments experiments images location
        resource_group subscription_id webservices name
    """,
}
PARAMETERS: dict[Callable[..., object], str] = {
    Model: """
        workspace name id tags properties version run_id model_framework expand
    """,
    Model.register: """
        workspace model_path model_name tags properties description datasets
        model_framework model_framework_version child_paths sample_input_dataset
        sample_output_dataset resource_configuration
    """,
    Model.list: """
        workspace name tags properties run_id latest dataset_id expand page_count
        model_framework
    """,
    Model.download: "self target_dir exist_ok exists_ok",
    Model.deploy: """
        workspace name models inference_config deployment_config deployment_target
        overwrite show_output
    """,
    Model.package: """
        workspace models inference_config generate_dockerfile image_name image_label
    """,
    Model.profile: """
        workspace profile_name models inference_config input_dataset cpu
        memory_in_gb description
    """,
    InferenceConfig: """
        entry_script runtime conda_file extra_docker_file_steps source_directory
        enable_gpu description base_image base_image_registry cuda_version
        environment
    """,
    LocalWebservice: "workspace name must_exist",
    LocalWebservice.deploy_configuration: "port",
    LocalWebservice.get_logs: "self num_lines raw",
    LocalWebservice.delete: "self delete_cache delete_image delete_volume",
    LocalWebservice.reload: "self wait",
    ModelPackage.get_logs: "self decode offset",
    ModelPackage.wait_for_creation: "self show_output",
    Environment.from_pip_requirements: "name file_path pip_version",
}


@pytest.mark.parametrize("kind", NAMES, ids=lambda kind: kind.__name__)
def test_no_name_is_a_riddle(kind: type) -> None:
    there = {name for one in kind.__mro__ for name in vars(one)}
    assert set(NAMES[kind].split()) - there == set()


@pytest.mark.parametrize("call", PARAMETERS, ids=lambda call: call.__qualname__)
def test_parameters_are_called_the_same_and_come_in_the_same_order(
    call: Callable[..., object],
) -> None:
    wanted = PARAMETERS[call].split()
    assert [name for name in inspect.signature(call).parameters if name in wanted] == wanted


def absent() -> list[tuple[type, str, Elsewhere]]:
    return [
        (kind, name, member)
        for kind in NAMES
        for name, member in vars(kind).items()
        if isinstance(member, Elsewhere)
    ]


@pytest.mark.parametrize(("kind", "name", "member"), absent())
def test_what_is_not_here_says_what_to_do_instead(kind: type, name: str, member: Elsewhere) -> None:
    with pytest.raises(NotFoundError, match=name) as caught:
        getattr(kind, name)("some", argument=1)
    assert caught.value.remedy == member.instead
    assert caught.value.__notes__ == [member.instead]
    assert member.instead.endswith(".")


def test_an_attribute_that_is_not_here_says_so_when_it_is_asked_for() -> None:
    with pytest.raises(NotFoundError, match=r"Workspace\.datastores"):
        _ = Workspace("http://127.0.0.1:1", "token").datastores


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_that_is_not_here_can_be_imported_and_says_so_when_it_is_used(name: str) -> None:
    for found in (getattr(skerry, name), getattr(webservice, name)):
        with pytest.raises(NotFoundError, match=name) as caught:
            found("some", argument=1)
        with pytest.raises(NotFoundError, match=f"{name}.deploy_configuration"):
            found.deploy_configuration(cpu_cores=1)
        assert caught.value.remedy == CLASSES[name]
        assert not hasattr(found, "__wrapped__")


def test_a_name_that_nobody_knows_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = webservice.Absent
