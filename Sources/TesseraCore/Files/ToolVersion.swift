/// The version of Tessera: what `--version` prints and what outputs record.
public enum ToolVersion {
  /// The version of this code.
  public static let current = "0.1.0"
}
