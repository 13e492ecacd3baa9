import Foundation

/// A pattern of names as shells have it: `*` is any text, dots and slashes included.
public struct NameGlob: Sendable, Hashable {
  /// The pattern.
  public let text: String

  /// Creates a pattern from its text.
  public init(_ text: String) { self.text = text }

  /// Whether the whole name fits.
  public func matches(_ name: String) -> Bool { unsafe fnmatch(text, name, 0) == 0 }
}
