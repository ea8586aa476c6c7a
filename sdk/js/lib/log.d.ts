/** Log lines for the operator, stored with the attempt. The arguments are those of `console.log`. */

export declare function trace(...values: unknown[]): void;
export declare function debug(...values: unknown[]): void;
export declare function info(...values: unknown[]): void;
export declare function warn(...values: unknown[]): void;
export declare function error(...values: unknown[]): void;
