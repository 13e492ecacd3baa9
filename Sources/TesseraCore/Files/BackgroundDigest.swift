package import Crypto
import Dispatch

/// A digest that is computed on a thread of its own while the caller reads or writes on.
///
/// At most ``mostPieces`` pieces wait, so memory stays bounded.
package final class BackgroundDigest<Hash: HashFunction>: @unchecked Sendable {
  private static var mostPieces: Int { 4 }

  private let queue = DispatchQueue(label: "tessera.digest")
  private let room = DispatchSemaphore(value: BackgroundDigest.mostPieces)
  /// Touched on the queue alone.
  private var hash = Hash()

  /// Starts a digest of no bytes.
  package init() {}

  /// Adds bytes behind those before.
  package func update(_ bytes: [UInt8]) {
    room.wait()
    queue.async {
      self.hash.update(data: bytes)
      self.room.signal()
    }
  }

  /// Returns once all bytes are digested, and none is held any more.
  package func wait() { queue.sync {} }

  /// The digest of all bytes in hexadecimal digits.
  package func hexadecimal() -> String {
    queue.sync { hash.finalize().hexadecimal }
  }
}
