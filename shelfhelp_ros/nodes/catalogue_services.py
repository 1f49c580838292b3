"""The services of perception: choose what to look for, and keep the catalogue. Every failure is a sentence."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CompressedImage
from shelfhelp_interfaces.msg import CatalogueProduct
from shelfhelp_interfaces.srv import EnrolProduct, ListProducts, RemoveProduct, SetTarget
from std_srvs.srv import Trigger

from shelfhelp_ros.catalogue.enrolment import MAX_PHOTOS, enrol, study_photos
from shelfhelp_ros.catalogue.names import clean_name
from shelfhelp_ros.catalogue.store import UnknownProductError
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.beside import answer_beside
from shelfhelp_ros.nodes.conversions import to_time
from shelfhelp_ros.perception.pipeline import Pipeline

if TYPE_CHECKING:
    from shelfhelp_ros.nodes.perception_node import PerceptionNode

MAX_PHOTO_BYTES = 20_000_000
MAX_NAME = 200


class CatalogueServices:
    """Handlers of set_target, clear_target, enrol_product, remove_product and list_products.

    They are answered one after the other in a thread of their own: frames come in meanwhile.
    """

    def __init__(self, node: PerceptionNode) -> None:
        self._node = node
        self._pool = ThreadPoolExecutor(1, "catalogue_services")
        kinds: list[tuple[Any, str, Callable[[Any, Any], None]]] = [
            (SetTarget, "set_target", self._set_target),
            (Trigger, "clear_target", self._clear_target),
            (EnrolProduct, "enrol_product", self._enrol_product),
            (RemoveProduct, "remove_product", self._remove_product),
            (ListProducts, "list_products", self._list_products),
        ]
        self._services = [node.create_service(kind, name, self._answered(handler)) for kind, name, handler in kinds]
        for service in self._services:
            answer_beside(node, service, self._pool)

    def destroy(self) -> None:
        self._pool.shutdown()
        for service in self._services:
            self._node.destroy_service(service)
        self._services.clear()

    @property
    def _pipeline(self) -> Pipeline:
        pipeline = self._node.pipeline
        if pipeline is None:
            raise ShelfHelpError("perception is not configured yet; bring it to active first")
        return pipeline

    def _answered(self, handler: Callable[[Any, Any], None]) -> Callable[[Any, Any], Any]:
        """A handler whose errors become ``success: false`` with a sentence, and suggestions where there are any."""

        def answer(request: Any, response: Any) -> Any:
            try:
                handler(request, response)
                response.success = True
            except ShelfHelpError as error:
                response.success, response.message = False, str(error)
                if isinstance(error, UnknownProductError):
                    response.suggestions = list(error.suggestions)
                    response.message = _unknown(error)
            except Exception as error:
                self._node.get_logger().error(f"internal error in a service: {type(error).__name__}: {error}")
                response.success, response.message = False, "an internal error; the log of perception says more"
            return response

        return answer

    def _set_target(self, request: SetTarget.Request, response: SetTarget.Response) -> None:
        name = _name(request.product, needed=not request.photos)
        pipeline = self._pipeline
        if request.photos:
            target_id = f"photos-{uuid.uuid4().hex[:12]}"
            name = clean_name(name) if name else "the product in your photos"
            studied = study_photos(pipeline.detector, pipeline.encoder, _photos(request.photos))
            response.advice = list(studied.advice)
            pictures = tuple(photo.crop for photo in studied.photos)
            self._node.change_target(lambda p: p.set_target_references(target_id, name, studied.embeddings, pictures))
        else:
            target_id = pipeline.catalogue.get(name).id
            self._node.change_target(lambda p: p.set_target(target_id))
        target = pipeline.target
        response.product_id, response.product_name = target_id, target.name if target else name
        response.message = f"Looking for {response.product_name}."

    def _clear_target(self, request: Trigger.Request, response: Trigger.Response) -> None:
        wanted = self._pipeline.target
        self._node.change_target(lambda p: p.set_target(None))
        response.message = f"No longer looking for {wanted.name}." if wanted else "Nothing was being looked for."

    def _enrol_product(self, request: EnrolProduct.Request, response: EnrolProduct.Response) -> None:
        name = _name(request.name, needed=True)
        pipeline = self._pipeline
        enrolment = enrol(pipeline.catalogue, pipeline.detector, pipeline.encoder, name, _photos(request.photos))
        response.product_id, response.advice = enrolment.product_id, list(enrolment.advice)
        photos = "photo" if enrolment.accepted == 1 else "photos"
        response.message = f"{enrolment.accepted} {photos} of {name} added."

    def _remove_product(self, request: RemoveProduct.Request, response: RemoveProduct.Response) -> None:
        pipeline = self._pipeline
        removed = pipeline.catalogue.remove(_name(request.product, needed=True))
        if pipeline.target is not None and pipeline.target.target_id == removed.id:
            self._node.change_target(lambda p: p.set_target(None))
        response.message = f"{removed.name} removed."

    def _list_products(self, request: ListProducts.Request, response: ListProducts.Response) -> None:
        products = self._pipeline.catalogue.list(request.filter)
        response.products = [
            CatalogueProduct(
                id=product.id, name=product.name, photos=product.photos, created=to_time(product.created_ns)
            )
            for product in products
        ]
        response.message = f"{len(products)} product{'' if len(products) == 1 else 's'}."


def _unknown(error: UnknownProductError) -> str:
    """The error for a voice: without commands for a terminal."""
    if error.suggestions:
        return str(error)
    return str(error).split(";")[0] + "; the catalogue has nothing like it"


def _name(text: str, needed: bool) -> str:
    text = " ".join(text.split())
    if needed and not text:
        raise ShelfHelpError("no product was named; give a name, an id or photos")
    if len(text) > MAX_NAME:
        raise ShelfHelpError(f"a product name may have {MAX_NAME} characters, not {len(text)}")
    return text


def _photos(photos: Sequence[CompressedImage]) -> list[bytes]:
    """The encoded photos of a request. Raises ShelfHelpError when there are too many or they are too large."""
    if not 1 <= len(photos) <= MAX_PHOTOS:
        raise ShelfHelpError(f"give one to {MAX_PHOTOS} photos of the product, not {len(photos)}")
    for number, photo in enumerate(photos, start=1):
        if len(photo.data) > MAX_PHOTO_BYTES:
            raise ShelfHelpError(f"photo {number} is larger than {MAX_PHOTO_BYTES // 1_000_000} MB; send a smaller one")
    return [bytes(photo.data) for photo in photos]
