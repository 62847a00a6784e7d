"""Java servers from Maven Central."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.cache import cached, is_cached
from deploy.local.errors import Unavailable

_COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One thing on Maven Central; a `classifier` names a file that comes alone, without what it needs."""

    group: str
    name: str
    version: str
    classifier: str = ""
    kind: str = "jar"

    def as_dependency(self) -> str:
        alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
        return (
            f"<dependency><groupId>{self.group}</groupId><artifactId>{self.name}</artifactId>"
            f"<version>{self.version}</version><type>{self.kind}</type>"
            + (f"<classifier>{self.classifier}</classifier>{alone}" if self.classifier else "")
            + "</dependency>"
        )


def java_program() -> str:
    """The machine's java; raises Unavailable."""
    return _program("java", "default-jre-headless")


def require_java(name: str) -> None:
    """Raises Unavailable when this machine can neither run nor fetch the server cached as `name`."""
    java_program()
    if not is_cached(name):
        _program("mvn", "maven")


def jars(name: str, artifacts: Sequence[Artifact]) -> Path:
    """A directory with `artifacts` and all they need, downloaded the first time; raises Unavailable."""
    return cached(name, lambda directory: download(directory, artifacts))


def download(directory: Path, artifacts: Sequence[Artifact]) -> None:
    """Put `artifacts` and all they need into `directory`; raises Unavailable."""
    mvn = _program("mvn", "maven")
    pom = directory / "pom.xml"
    pom.write_text(_pom(artifacts))
    command = [mvn, "-q", "-B", "-f", str(pom), _COPY_DEPENDENCIES]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={directory}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(
            f"mvn could not download {artifacts[0].name}: does it reach Maven Central?\n{done.stdout[-2000:]}"
        )


def _pom(artifacts: Sequence[Artifact]) -> str:
    dependencies = "".join(artifact.as_dependency() for artifact in artifacts)
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>local</groupId><artifactId>servers</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>\n"
    )


def _program(name: str, package: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise Unavailable(f"no {name} on PATH: `apt install {package}`")
    return program
